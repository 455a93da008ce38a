"""Draining one queue: the state machine behind every queue lane.

Owns which rows are sent next, in which pieces, when, and what becomes of them. Never does I/O,
reads a clock or draws randomness: `poll` says what to do, the caller does it and reports back. One
invariant: rows leave from the front of the queue only, each accepted or set aside with a reason; so
"delete up to this position" acknowledges exactly what was delivered.

    rows ─▶ buffer ─▶ pieces ─▶ frozen request ─▶ accepted ─▶ Acknowledge
                        ▲            │ 413, 400 with several rows: two halves
                        └────────────┤ 400 or 413 with one row ─▶ SetAside
                                     └ anything else: the same bytes again, later
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic

import msgspec

from pyconvex.delivery.batch import Buffer, Limits, R
from pyconvex.delivery.breaker import Breaker, Circuit
from pyconvex.delivery.transport import Request
from pyconvex.delivery.verdict import Accepted, Refused, Retry, TooLarge, Verdict
from pyconvex.storage import START, Position

#: Rows set aside in a row before each further refusal counts as a failure and is paced: a receiver
#: that refuses everything must not empty the queue within seconds.
PACE_REFUSALS_AFTER = 20


class Phase(Enum):
    """Where the drain stands.

    PARKED → FILLING when settings are complete; FILLING → FROZEN when a request's bytes are made;
    FROZEN → IN_FLIGHT when `poll` hands them out; IN_FLIGHT → FROZEN on retry, → FILLING otherwise.
    New settings bring every phase but IN_FLIGHT to FILLING or PARKED, IN_FLIGHT as it settles.
    """

    PARKED = "waiting for settings"
    FILLING = "collecting rows"
    FROZEN = "ready to send"
    IN_FLIGHT = "sending"


class Send(msgspec.Struct, frozen=True):
    """Send this request once, then call `settle`."""

    request: Request


class Read(msgspec.Struct, frozen=True):
    """Read rows after a position, about this much, then call `add`."""

    after: Position
    max_rows: int
    max_bytes: int


class Acknowledge(msgspec.Struct, frozen=True):
    """Everything up to and including this position is delivered or set aside: delete it."""

    through: Position


class SetAside(msgspec.Struct, Generic[R], frozen=True):
    """Move this one row, the first that is left, out of the queue and keep it with the reason."""

    row: R
    reason: str


class Rejected(msgspec.Struct, frozen=True):
    """The receiver took a request but for this many rows, which it dropped."""

    rows: int


class Say(msgspec.Struct, frozen=True):
    """Tell whoever runs the server; level is "info", "warn" or "error"."""

    level: str
    text: str


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do before this moment, or before something happens when it is None."""

    until: float | None


Step = Send | Read | Acknowledge | SetAside[R] | Rejected | Say | Wait


class Counters(msgspec.Struct):
    """What happened since the process started; rows, except `failed` (attempts)."""

    sent: int = 0
    failed: int = 0
    set_aside: int = 0
    last_error: str | None = None


class Drain(Generic[R]):
    """Sends a queue's rows in order, one request at a time.

    `freeze` turns rows into a request, or into None when there is nothing to send for them. It may
    raise: rows that can't be encoded are found and set
    aside like those that the receiver refuses. Call `poll` until it answers `Wait`; call it again
    at that moment and after `wake`, `add`, `settle` or `settings_changed`.
    """

    def __init__(
        self,
        limits: Limits,
        freeze: Callable[[Sequence[R]], Request | None],
        breaker: Breaker,
        after: Position = START,
    ) -> None:
        self._freeze = freeze
        self._breaker = breaker
        self.counters = Counters()
        self.phase = Phase.PARKED
        self._buffer: Buffer[R] = Buffer(limits)
        #: Batches and halves of batches in queue order; the first one is frozen or in flight.
        self._pieces: deque[tuple[R, ...]] = deque()
        #: The first piece's bytes; set on FILLING → FROZEN, kept through retries, dropped when the
        #: piece is settled or settings change.
        self._request: Request | None = None
        self._effects: deque[Step[R]] = deque()
        #: The last row that was read.
        self._read_through = after
        #: Whether the queue may hold rows after `_read_through`.
        self._more = True
        #: Settings that arrived while a request was in flight: whether they are complete.
        self._settings_arrived: bool | None = None
        #: Rows set aside since the last acceptance.
        self._refusals = 0
        #: Whether it was told that the receiver takes requests in part, since settings changed.
        self._told_of_parts = False

    @property
    def in_hand(self) -> int:
        """Rows that were read and are neither accepted nor set aside."""
        return sum(map(len, self._pieces)) + len(self._buffer)

    @property
    def may_have_more(self) -> bool:
        """Whether rows may wait behind those in hand."""
        return self._more

    @property
    def oldest(self) -> R | None:
        """The first row in hand."""
        return next(iter(self._pieces[0] if self._pieces else self._buffer.rows), None)

    def wake(self) -> None:
        """There may be new rows."""
        self._more = True

    def add(self, rows: Sequence[R], *, more: bool, now: float) -> None:
        """Rows that a `Read` found; `more` when the queue may hold rows after them."""
        self._more = more
        self._buffer.add(rows, now)
        if rows:
            self._read_through = rows[-1].position

    def settings_changed(self, *, complete: bool) -> None:
        """Requests are made anew with the new settings, at once; without complete ones, none."""
        if self.phase is Phase.IN_FLIGHT:
            self._settings_arrived = complete
            return
        self._request = None
        self.phase = Phase.FILLING if complete else Phase.PARKED
        self._told_of_parts = False
        self._breaker.reset()

    def poll(self, now: float) -> Step[R]:
        """The next thing to do."""
        while not self._effects:
            match self.phase:
                case Phase.PARKED | Phase.IN_FLIGHT:
                    return Wait(None)
                case _ if not self._breaker.allows(now):
                    return Wait(self._breaker.not_before)
                case Phase.FILLING if not self._pieces:
                    return self._collect(now)
                case Phase.FILLING:
                    self._freeze_first(now)
                case Phase.FROZEN:
                    assert self._request is not None
                    self.phase = Phase.IN_FLIGHT
                    return Send(self._request)
        return self._effects.popleft()

    def settle(self, verdict: Verdict, now: float) -> None:
        """How the request in flight ended."""
        assert self.phase is Phase.IN_FLIGHT, self.phase
        arrived, self._settings_arrived = self._settings_arrived, None
        match verdict:
            case Accepted(rejected, reason):
                self._accepted(rejected, reason)
            case Retry(reason, after_s):
                self.phase = Phase.FROZEN
                self._failed(reason, now, after_s)
            case _ if arrived is not None:
                pass  # said about the old settings' request; the new one gets its own verdict
            case TooLarge(reason):
                self._buffer.shrink(len(self._pieces[0]) // 2)
                self._split(reason, now)
            case Refused(reason):
                self._split(reason, now)
        if arrived is not None:
            self.phase = Phase.FILLING
            self.settings_changed(complete=arrived)

    def check(self) -> None:
        """Raise AssertionError unless the state is sound; for tests."""
        rows = [row for piece in self._pieces for row in piece] + list(self._buffer.rows)
        positions = [row.position for row in rows]
        assert positions == sorted(set(positions)), "order"
        assert all(self._pieces), "empty piece"
        assert not positions or positions[-1] == self._read_through, "lost rows"
        assert (self._request is not None) == (self.phase in (Phase.FROZEN, Phase.IN_FLIGHT))

    def _collect(self, now: float) -> Step[R]:
        # Rows that came since the first are read once it has waited long enough, not at each wake.
        if self._more and not self._buffer.full and not self._buffer.waits(now):
            return Read(self._read_through, *self._buffer.room)
        batch = self._buffer.cut(now)
        if batch is None:
            return Wait(self._buffer.due_at)
        self._pieces.append(batch)
        return self.poll(now)

    def _freeze_first(self, now: float) -> None:
        try:
            self._request = self._freeze(self._pieces[0])
        except Exception as error:  # whatever a lane's code raises belongs to these rows
            self._split(f"could not be encoded: {type(error).__name__}: {error}", now)
            return
        if self._request is None:
            self._accepted()
        else:
            self.phase = Phase.FROZEN

    def _accepted(self, rejected: int = 0, reason: str = "") -> None:
        piece = self._leave_first()
        rejected = min(max(rejected, 0), len(piece))
        self.counters.sent += len(piece) - rejected
        self._refusals = 0
        if rejected or reason:
            self._taken_in_part(rejected, reason)
        self._buffer.grow()
        self._effects.append(Acknowledge(piece[-1].position))
        if self._breaker.failures:
            self._effects.append(
                Say("info", f"delivering again after {self._breaker.failures} failed attempts")
            )
        self._breaker.succeeded()

    def _taken_in_part(self, rejected: int, reason: str) -> None:
        said = reason or "it does not say why"
        if rejected:
            self.counters.last_error = f"the receiver dropped {rejected} ({said})"
            self._effects.append(Rejected(rejected))
        if not self._told_of_parts:
            self._told_of_parts = True
            what = f"dropped {rejected} rows of a request that it took" if rejected else "warns"
            self._effects.append(
                Say("warn", f"the receiver {what} ({said}); the next ones are only counted")
            )

    def _failed(self, reason: str, now: float, after_s: float | None) -> None:
        before = self._breaker.circuit
        self._breaker.failed(now, after_s)
        self.counters.failed += 1
        self.counters.last_error = reason
        opened = before is Circuit.CLOSED and self._breaker.circuit is Circuit.OPEN
        if self._breaker.failures == 1 or opened:
            often = f" {self._breaker.failures} times in a row" if opened else ""
            self._effects.append(
                Say("warn", f"sending failed{often} ({reason}); rows are kept and sent again")
            )

    def _split(self, reason: str, now: float) -> None:
        """Halve the first piece; when it is one row, that row is the cause: set it aside."""
        piece = self._leave_first()
        if self._refusals < PACE_REFUSALS_AFTER:
            self._breaker.succeeded()
        else:
            self._failed(reason, now, None)
        if len(piece) > 1:
            middle = len(piece) // 2
            self._pieces.extendleft((piece[middle:], piece[:middle]))
            return
        self._refusals += 1
        self.counters.set_aside += 1
        self.counters.last_error = reason
        self._effects.append(SetAside(piece[0], reason))
        self._effects.append(
            Say("error", f"an unusable row was set aside ({reason}); the rest goes on")
        )

    def _leave_first(self) -> tuple[R, ...]:
        self._request = None
        self.phase = Phase.FILLING
        return self._pieces.popleft()

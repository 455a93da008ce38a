"""The isolates that run actions, some side by side in each.

Owns which of them runs what, and who holds up whom. Never starts a process itself; it asks for
forks. One invariant: nothing is given to an isolate whose other actions keep it from answering.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from pyconvex.runtime.calls import HostError
from pyconvex.runtime.isolates.backlog import Backlog
from pyconvex.runtime.isolates.isolate_process import Isolate
from pyconvex.runtime.isolates.runs import Run, Work
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.usage import own_memory
from pyconvex.runtime.running import limits

#: How often isolates that run actions are asked whether they still answer, in seconds.
WATCH_INTERVAL_S = 0.25
#: Blocked isolates beside which others are forked.
MAX_USELESS = 16
#: How long an action that is told to stop may take for it, in seconds.
GRACE_S = 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Shift:
    """What the server knows of one action isolate besides its runs."""

    #: Runs that are sent as soon as the isolate answers.
    asking: deque[Run] = field(default_factory=deque)
    #: When it was asked for an answer that has not come; None while none is owed.
    asked_s: float | None = None
    #: True from a stall until it answers again.
    stalled: bool = False
    #: Who blocks it, as far as it could tell: run id and line.
    blocker: tuple[int, str] | None = None
    #: When runs were told to stop.
    told_s: dict[int, float] = field(default_factory=dict)


class ActionIsolates:
    """Runs actions in at most `maximum` isolates that `fork` makes, `each` at a time in one."""

    def __init__(
        self, fork: Callable[[], Isolate | None], *, maximum: int, each: int, runs_each: int
    ) -> None:
        self._fork = fork
        self._maximum = maximum
        self._each = each
        self._runs_each = runs_each
        self._shifts: dict[Isolate, _Shift] = {}
        self.backlog = Backlog()
        self._loop = asyncio.get_running_loop()
        self._watching: asyncio.TimerHandle | None = None

    def adopt(self, run: Run) -> None:
        """Queue an action; it begins as soon as its turn and a place have come."""
        run.queued_s = self._loop.time()
        if run.work is Work.CALL and self.backlog.full:
            run.fail(self._too_many())
            return
        self.backlog.push(run)
        self._dispatch()
        self._watch()

    def hand_over(self) -> Iterator[Run]:
        """Take back what has not begun."""
        for shift in self._shifts.values():
            yield from shift.asking
            shift.asking.clear()
        yield from self.backlog.take_all()

    def ready(self, isolate: Isolate) -> None:
        """A fork has connected."""
        isolate.memory_at_start = own_memory(isolate.pid)
        self._dispatch()

    def freed(self, isolate: Isolate, run_id: int) -> None:
        """An action has ended."""
        shift = self._shifts.get(isolate)
        if shift is not None:
            shift.told_s.pop(run_id, None)
            shift.stalled, shift.blocker = False, None  # its loop turns, or it could not tell
            if shift.asked_s is not None:
                shift.asked_s = self._loop.time()
        if isolate.ran >= self._runs_each or _growth(isolate) > limits.MAX_GROWTH_BYTES:
            isolate.retiring = True
        if isolate.retiring and not isolate.runs and not (shift and shift.asking):
            isolate.retire()
        self._dispatch()

    def answered(self, isolate: Isolate) -> None:
        """An isolate's loop turns: what waited for that begins."""
        shift = self._shifts.get(isolate)
        if shift is None:
            return
        shift.asked_s, shift.stalled, shift.blocker = None, False, None
        while shift.asking:
            self._begin(isolate, shift.asking.popleft())
        self._dispatch()

    def blocked(self, isolate: Isolate, told: messages.Blocked) -> None:
        """A stalled isolate could tell who blocks it."""
        shift, run = self._shifts.get(isolate), isolate.runs.get(told.run_id)
        if shift is None or run is None or shift.blocker is not None:
            return
        shift.blocker = (told.run_id, told.where)
        _log.warning(
            "Action %s blocks its process at %s: nothing else runs there meanwhile. Use `await`, "
            "or asyncio.to_thread for what computes or waits without it.",
            run.start.path,
            told.where,
        )

    def lost(self, isolate: Isolate) -> None:
        """An isolate is gone; its runs are somebody else's to end."""
        shift = self._shifts.pop(isolate, None)
        for run in reversed(shift.asking if shift else ()):
            self.backlog.push_front(run)
        self._dispatch()

    # Dispatch

    def _dispatch(self) -> None:
        while self.backlog:
            isolate = self._freest()
            if isolate is None:
                coming = any(i.channel is None and i.wanted for i in self._shifts)
                if not coming and self._may_add():
                    self._add()
                return
            run = self.backlog.pop()
            assert run is not None
            if isolate.runs:
                self._ask(isolate, run)
            else:
                self._begin(isolate, run)

    def _freest(self) -> Isolate | None:
        """The isolate with most places, None if none has any."""
        free = [
            (isolate.places_taken + len(shift.asking), isolate.isolate_id, isolate)
            for isolate, shift in self._shifts.items()
            if isolate.usable
            and not shift.stalled
            and isolate.places_taken + len(shift.asking) < self._each
            and isolate.ran + len(isolate.runs) + len(shift.asking) < self._runs_each
        ]
        return min(free)[2] if free else None

    def _may_add(self) -> bool:
        """Whether one more isolate may be forked.

        Some don't count, because nothing can be given to them: those that are blocked, and of those
        that run once the ones whose action waits for another, which must not be kept from coming.
        """
        counted = [
            isolate
            for isolate, shift in self._shifts.items()
            if not shift.stalled
            and (self._runs_each > 1 or isolate.places_taken or not isolate.runs)
        ]
        if len(self._shifts) - len(counted) >= MAX_USELESS and self._runs_each > 1:
            return False
        return len(counted) < self._maximum

    def _ask(self, isolate: Isolate, run: Run) -> None:
        """Give it a run once it has shown that its other actions don't block it."""
        shift = self._shifts[isolate]
        shift.asking.append(run)
        if shift.asked_s is None:
            shift.asked_s = self._loop.time()
            isolate.send(messages.Ping())

    def _begin(self, isolate: Isolate, run: Run) -> None:
        run.begin(self._loop.time())
        isolate.runs[run.start.run_id] = run
        isolate.send(run.start)

    def _add(self) -> None:
        isolate = self._fork()
        if isolate is not None:
            self._shifts[isolate] = _Shift()

    # Limits

    def _watch(self) -> None:
        if self._watching is None:
            self._watching = self._loop.call_later(WATCH_INTERVAL_S, self._look)

    def _look(self) -> None:
        """Look at what runs and waits, for as long as something does."""
        self._watching = None
        now_s = self._loop.time()
        for isolate, shift in self._busy():
            self._look_at(isolate, shift, now_s)
        for run in self.backlog.take_calls_queued_before(now_s - limits.ACTION_WAIT_LIMIT_S):
            run.fail(self._too_many())
        self._dispatch()
        if self.backlog or self._busy():  # by now: what has just begun has limits too
            self._watch()

    def _busy(self) -> list[tuple[Isolate, _Shift]]:
        return [
            (isolate, shift)
            for isolate, shift in self._shifts.items()
            # Nothing may run in it any more by the time when it answers: what waits begins then.
            if (isolate.runs or shift.asking) and isolate.ending is None
        ]

    def _look_at(self, isolate: Isolate, shift: _Shift, now_s: float) -> None:
        if shift.asked_s is None:
            shift.asked_s = now_s
            isolate.send(messages.Ping())
        elif now_s - shift.asked_s >= limits.STALL_S and not shift.stalled:
            self._stalled(isolate, shift)
        if _growth(isolate) > limits.ACTION_MEMORY_LIMIT_BYTES:
            isolate.end(_all(limits.out_of_memory(actions=True), isolate))
            return
        for run in list(isolate.runs.values()):
            if run.verdict or now_s - run.began_s >= limits.ACTION_WALL_LIMIT_S:
                self._overdue(isolate, shift, run, now_s)

    def _stalled(self, isolate: Isolate, shift: _Shift) -> None:
        """Its loop is blocked: what waits for it goes elsewhere, and it is asked who does it."""
        shift.stalled = True
        while shift.asking:
            self.backlog.push_front(shift.asking.pop())
        if isolate.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(isolate.pid, signal.SIGUSR1)

    def _overdue(self, isolate: Isolate, shift: _Shift, run: Run, now_s: float) -> None:
        """Stop one action, and its isolate if that can't be done without.

        It has ended when it has stopped, so that what it tells until then is told.
        """
        run.verdict = _timed_out(run)
        told_s = shift.told_s.get(run.start.run_id)
        if shift.stalled or (told_s is not None and now_s - told_s >= GRACE_S):
            isolate.end(_ended_for(isolate, shift, run))
        elif told_s is None:
            shift.told_s[run.start.run_id] = now_s
            isolate.send(messages.Cancel(run.start.run_id))

    def _too_many(self) -> HostError:
        return HostError(
            429,
            "TooManyConcurrentRequests",
            "Too many concurrent requests. Your backend is limited to "
            f"{self._maximum * self._each} concurrent actions. To resolve this issue, make actions "
            "faster, or let them wait with `await` and not by blocking.",
        )


def _growth(isolate: Isolate) -> int:
    """Bytes that an isolate has gained since it was new; 0 where the system doesn't tell."""
    before, now = isolate.memory_at_start, own_memory(isolate.pid)
    return 0 if before is None or now is None else now - before


def _timed_out(run: Run) -> str:
    seconds = f"{limits.ACTION_WALL_LIMIT_S:g}s"
    return f"Action {run.start.path} timed out (maximum duration: {seconds})"


def _ended_for(isolate: Isolate, shift: _Shift, overdue: Run) -> str:
    """What those are told whose process ends for the sake of an overdue action."""
    blocker = isolate.runs.get(shift.blocker[0]) if shift.blocker is not None else None
    if shift.blocker is None or blocker is None:
        return _all(f"{_timed_out(overdue)} and did not stop when it was told to", isolate)
    return (
        f"Action {blocker.start.path} blocked its process at {shift.blocker[1]} until "
        f"{_timed_out(overdue)}; its process was ended, and every action in it. Use `await`, or "
        "asyncio.to_thread for what computes or waits without it."
    )


def _all(reason: str, isolate: Isolate) -> str:
    if len(isolate.runs) == 1:
        return reason
    paths = ", ".join(sorted({run.start.path for run in isolate.runs.values()}))
    return f"{reason}. Its process was ended, and every action in it: {paths}."

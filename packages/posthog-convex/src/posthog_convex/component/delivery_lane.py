"""The lane that notes how events are being delivered, for `status`.

Owns when a note is written. Never sends or reads an event. One invariant: while nothing moves
nothing is written, and while events move there is at most one small write a pause.
"""

from __future__ import annotations

import msgspec

from pyconvex.delivery import LaneContext, QueueReport, TimerLane

QUEUE = "events"
#: Between two looks while events wait.
PAUSE_S = 2.0


class DeliveryNote(msgspec.Struct, frozen=True, rename="camel"):
    """How events were being delivered at a moment."""

    queued: int = 0
    #: When the first that waits was captured; milliseconds since 1970, as is the next.
    oldest: float | None = None
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    #: What is wrong with sending now, null when it goes well.
    error: str | None = None
    #: What was wrong last.
    last_error: str | None = None
    at: float | None = None

    @classmethod
    def of(cls, report: QueueReport, at: float) -> DeliveryNote:
        """A note of what the host reports."""
        return cls(
            queued=report.waiting,
            oldest=report.oldest_ms,
            sent=report.sent,
            failed=report.set_aside,
            dropped=report.dropped,
            error=report.last_error if report.failing else None,
            last_error=report.last_error,
            at=at,
        )

    def text(self) -> str:
        """As it is stored."""
        return msgspec.json.encode(self).decode()


class DeliveryLane(TimerLane):
    """Notes, after commits and while events wait, how many there are and what became of others."""

    wakes_after_s = 1.0

    def __init__(self) -> None:
        #: What is stored, from the first tick on: only this lane writes it.
        self._noted: DeliveryNote | None = None

    async def tick(self, ctx: LaneContext) -> float | None:
        found = DeliveryNote.of(ctx.queue(QUEUE), ctx.now_ms())
        if self._noted is None:
            stored = await ctx.run_query("delivery:noted", {})
            self._noted = parse_note(stored if isinstance(stored, str) else None)
        if not _says_the_same(found, self._noted):
            last_error = found.last_error or self._noted.last_error
            found = msgspec.structs.replace(found, last_error=last_error)
            await ctx.run_mutation("delivery:note", {"text": found.text()})
            self._noted = found
        return PAUSE_S * ctx.jitter() if found.queued or found.error is not None else None


def _says_the_same(found: DeliveryNote, noted: DeliveryNote) -> bool:
    """Whether two notes differ in their moment at most; a new process knows no last error."""
    last_error = found.last_error or noted.last_error
    return msgspec.structs.replace(found, at=noted.at, last_error=last_error) == noted


def parse_note(text: str | None) -> DeliveryNote:
    """The stored note."""
    return msgspec.json.decode(text, type=DeliveryNote) if text else DeliveryNote()

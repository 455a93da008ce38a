"""The virtual clock of one test deployment.

Owns the moment that functions and the store see. Never looks at the real clock and patches nothing:
whoever needs the time was given this object. One invariant: no two runs start at the same moment,
so documents stand in the order in which mutations made them.
"""

from __future__ import annotations

#: How much later each run starts than the one before.
TICK_NS = 1_000_000


class VirtualClock:
    """Stands still but for `advance` and a millisecond for each run.

    >>> clock = VirtualClock(now_ms=1_000.0)
    >>> clock.advance(60)
    >>> clock.now_ms
    61000.0
    """

    def __init__(self, now_ms: float) -> None:
        self._now_ns = int(now_ms * 1e6)

    @property
    def now_ms(self) -> float:
        """The moment, in milliseconds since 1970."""
        return self._now_ns / 1e6

    def now_ns(self) -> int:
        """The moment, in nanoseconds since 1970."""
        return self._now_ns

    def start_of_run_ms(self) -> float:
        """The moment at which the next run starts; moves the clock by a tick."""
        self._now_ns += TICK_NS
        return self.now_ms

    def advance(self, seconds: float) -> None:
        """Move the clock; raises `ValueError` for a step back."""
        if seconds < 0:
            raise ValueError(f"the clock can't go back: advance({seconds})")
        self._now_ns += int(seconds * 1e9)

    def move_to(self, moment_ms: float) -> None:
        """Move the clock to a moment, unless it is there or past it."""
        self._now_ns = max(self._now_ns, int(moment_ms * 1e6))
        while self.now_ms < moment_ms:
            self._now_ns += 1  # what milliseconds as a double can't tell apart

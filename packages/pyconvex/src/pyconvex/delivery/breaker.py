"""When to try again: back-off with full jitter, and a circuit breaker on top.

Owns the count of failures and the next moment at which a request may go out. Never sleeps and never
reads a clock. One invariant: while it is open, at most one request (the probe) goes out per pause.
"""

from __future__ import annotations

import random
from enum import Enum

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Pause before attempt n: a random part of `base_s` doubled n times, at most `ceiling_s`.

    Random over the whole range ("full jitter"), so that many hosts don't come back in step.
    """

    base_s: float = 0.5
    #: An outage of hours costs two requests a minute; recovery is noticed within half a minute.
    ceiling_s: float = 30.0

    def pause_s(self, failures: int, chance: random.Random) -> float:
        """How long to wait after this many failures in a row (1 or more)."""
        # 2**30 is past every ceiling; more would overflow a float after days of outage.
        return chance.random() * min(self.ceiling_s, self.base_s * 2.0 ** min(failures - 1, 30))


class Circuit(Enum):
    """State of the breaker.

    CLOSED → OPEN at `opens_after` failures in a row; OPEN → HALF_OPEN when the pause is over;
    HALF_OPEN → CLOSED when the probe gets through, → OPEN when it doesn't.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker:
    """Says whether a request may go out now; told how each one ended."""

    def __init__(
        self, chance: random.Random, backoff: Backoff | None = None, *, opens_after: int = 5
    ) -> None:
        self._chance = chance
        self._backoff = backoff or Backoff()
        self._opens_after = opens_after
        self.reset()

    def reset(self) -> None:
        """Forget all failures, as when settings changed: the next request may go out at once."""
        self.circuit = Circuit.CLOSED
        #: Failures in a row.
        self.failures = 0
        #: No request before this moment.
        self.not_before = 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may go out; an open circuit whose pause is over becomes half open."""
        if now < self.not_before:
            return False
        if self.circuit is Circuit.OPEN:
            self.circuit = Circuit.HALF_OPEN
        return True

    def succeeded(self) -> None:
        """A request got a real answer."""
        self.reset()

    def failed(self, now: float, after_s: float | None = None) -> None:
        """A request failed; the receiver asked for a pause of `after_s`, if it asked for one."""
        self.failures += 1
        self.not_before = now + max(
            after_s or 0.0, self._backoff.pause_s(self.failures, self._chance)
        )
        if self.failures >= self._opens_after:  # as after every probe that failed
            self.circuit = Circuit.OPEN

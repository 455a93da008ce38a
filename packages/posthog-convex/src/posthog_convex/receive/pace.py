"""How much to send at once, and when to try again.

Owns both. Never sleeps, reads a clock or draws a random number. One invariant: after failures the
pauses grow up to a bound, and after a batch that was too large batches shrink, down to one event.
"""

from __future__ import annotations

#: Full jitter over a pause that doubles up to this: an outage costs two requests a minute.
_CEILING_S = 30.0
_BASE_S = 0.5


class Pace:
    """The pace of one outlet.

    >>> pace = Pace(most=4)
    >>> pace.too_much(4), pace.rows, pace.too_much(2), pace.rows
    (None, 2, None, 1)
    >>> pace.accepted(); pace.rows
    2
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        #: Events to send at once.
        self.rows = most
        #: Failed attempts in a row.
        self.failures = 0
        #: What was wrong last; None while all goes well.
        self.trouble: str | None = None

    def accepted(self) -> None:
        """A request was taken."""
        self.rows = min(self._most, self.rows * 2)
        self.failures, self.trouble = 0, None

    def too_much(self, rows: int) -> None:
        """A request with this many events was refused."""
        self.rows = max(1, rows // 2)
        self.failures = 0

    def failed(self, reason: str, after_s: float | None, chance: float) -> float:
        """An attempt failed; seconds until the next one, with `chance` between 0 and 1."""
        self.failures += 1
        self.trouble = reason
        ceiling = min(_CEILING_S, _BASE_S * 2.0 ** min(self.failures - 1, 30))
        return max(after_s or 0.0, chance * ceiling)

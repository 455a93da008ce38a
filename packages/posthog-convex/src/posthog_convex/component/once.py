"""What was sent once and need not be sent again.

Owns a bounded memory of slots: an exposure, an error. Never forgets before it is full, then the one
that was asked for longest ago. One invariant: who took a slot keeps it, so that asking again, for a
second attempt, gives the same answer.
"""

from __future__ import annotations

from collections import OrderedDict

#: As many as PostHog's JavaScript SDK remembers persons: some ten megabytes.
MAX_SLOTS = 50_000


class Once:
    """Gives each slot to the first who asks.

    >>> once = Once()
    >>> once.take("exposure of ada", by="run 1"), once.take("exposure of ada", by="run 2")
    (True, False)
    >>> once.take("exposure of ada", by="run 1")
    True
    """

    def __init__(self, bound: int = MAX_SLOTS) -> None:
        self._bound = bound
        self._holders: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._holders)

    def take(self, slot: str, *, by: str) -> bool:
        """Whether the slot is this one's: it was free, or had been given to the same."""
        holder = self._holders.setdefault(slot, by)
        self._holders.move_to_end(slot)
        if len(self._holders) > self._bound:
            self._holders.popitem(last=False)
        return holder == by

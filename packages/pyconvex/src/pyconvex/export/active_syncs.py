"""Which data syncs have asked for pages lately, and how far they are.

Owns the list, in memory: a cursor carries its sync's counts, so the list fills again after a
restart. Never starts or stops a sync. One invariant: a sync stands in it once, with its last page.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from pyconvex.export.messages import Progress

#: How long a sync is told of after its last page, in milliseconds.
REMEMBERED_MS = 3 * 24 * 3600 * 1000
#: The oldest go beyond so many.
MAX_SYNCS = 1_000


class ActiveSync(NamedTuple):
    """A sync, and when it had its last page, in milliseconds."""

    progress: Progress
    last_updated_ms: int


class ActiveSyncs:
    """Remembers the last page of each sync."""

    def __init__(
        self, now_ms: Callable[[], float], on_begun: Callable[[str], None] = lambda sync_id: None
    ) -> None:
        self._now_ms = now_ms
        self._on_begun = on_begun
        self._syncs: OrderedDict[str, ActiveSync] = OrderedDict()

    def note(self, progress: Progress) -> None:
        """A sync has got a page; `on_begun` hears of its first."""
        if progress.begins:
            self._on_begun(progress.sync_id)
        self._syncs[progress.sync_id] = ActiveSync(progress, int(self._now_ms()))
        self._syncs.move_to_end(progress.sync_id)
        self._forget()

    def latest(self) -> list[ActiveSync]:
        """The syncs of the last three days, the most recent first."""
        self._forget()
        return list(reversed(self._syncs.values()))

    def _forget(self) -> None:
        too_old = self._now_ms() - REMEMBERED_MS
        while self._syncs:
            oldest = next(iter(self._syncs.values()))
            if len(self._syncs) <= MAX_SYNCS and oldest.last_updated_ms >= too_old:
                return
            self._syncs.popitem(last=False)

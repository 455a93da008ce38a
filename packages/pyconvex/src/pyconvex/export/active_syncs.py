"""Which data syncs have asked for pages lately, and how far they are.

Owns the list and when it is worth keeping; somebody else keeps it. Never starts or stops a sync.
One invariant: a sync stands in it once, with its last page.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from pyconvex.export.messages import Progress

#: How long a sync is told of after its last page, in milliseconds.
REMEMBERED_MS = 3 * 24 * 3600 * 1000
#: The oldest go beyond so many.
MAX_SYNCS = 1_000
#: While a sync goes on it is kept so often at most, in milliseconds; Convex does the same.
KEEP_EVERY_MS = 5_000
#: One that only looks whether there is news is kept so often: each time is a commit.
KEEP_IDLE_EVERY_MS = 3_600_000


class ActiveSync(NamedTuple):
    """A sync, and when it had its last page, in milliseconds."""

    progress: Progress
    last_updated_ms: int


#: Keeps a sync over restarts, and forgets those with these ids.
Keep = Callable[[ActiveSync, list[str]], Awaitable[None]]


class ActiveSyncs:
    """Remembers the last page of each sync; `known` are those that were kept."""

    def __init__(
        self,
        now_ms: Callable[[], float],
        keep: Keep,
        known: Iterable[ActiveSync] = (),
        on_begun: Callable[[str], None] = lambda sync_id: None,
    ) -> None:
        self._now_ms = now_ms
        self._keep = keep
        self._on_begun = on_begun
        self._syncs = OrderedDict(
            (sync.progress.sync_id, sync)
            for sync in sorted(known, key=lambda sync: sync.last_updated_ms)
        )
        #: Each as it is kept.
        self._kept = dict(self._syncs)

    async def note(self, progress: Progress) -> None:
        """A sync has got a page; `on_begun` hears of its first."""
        if progress.begins:
            self._on_begun(progress.sync_id)
        sync = ActiveSync(progress, int(self._now_ms()))
        self._syncs[progress.sync_id] = sync
        self._syncs.move_to_end(progress.sync_id)
        self._forget()
        if self._is_due(sync):
            gone = [sync_id for sync_id in self._kept if sync_id not in self._syncs]
            self._kept[progress.sync_id] = sync
            await self._keep(sync, gone)
            for sync_id in gone:
                self._kept.pop(sync_id, None)

    def latest(self) -> list[ActiveSync]:
        """The syncs of the last three days, the most recent first."""
        self._forget()
        return list(reversed(self._syncs.values()))

    def _is_due(self, sync: ActiveSync) -> bool:
        kept = self._kept.get(sync.progress.sync_id)
        if kept is None or kept.progress.status != sync.progress.status:
            return True
        every = KEEP_EVERY_MS if sync.progress.news else KEEP_IDLE_EVERY_MS
        return sync.last_updated_ms - kept.last_updated_ms >= every

    def _forget(self) -> None:
        too_old = self._now_ms() - REMEMBERED_MS
        while self._syncs:
            oldest = next(iter(self._syncs.values()))
            if len(self._syncs) <= MAX_SYNCS and oldest.last_updated_ms >= too_old:
                return
            self._syncs.popitem(last=False)

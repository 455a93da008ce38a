"""Who must be told when something that was read changes.

Owns the map from read sets to subscribers. Never re-runs anything: it calls back once and leaves
the rest to the caller. One invariant: a subscription that was not called back and whose
`invalidated_at` is None is true at the newest commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyconvex.database.intervals import IntervalMap
from pyconvex.database.reads import ReadSet
from pyconvex.database.writelog import OutOfRetention, WriteLog
from pyconvex.storage import DocumentWrite


class Subscription:
    """A read set under watch, until `close()`.

    `invalidated_at` is None while what was read still stands, then the timestamp of the first
    commit that changed it.
    """

    __slots__ = ("_callback", "_owner", "invalidated_at", "reads")

    def __init__(
        self,
        owner: Subscriptions,
        reads: ReadSet,
        callback: Callable[[Subscription], None],
        invalidated_at: int | None,
    ) -> None:
        self.reads = reads
        self.invalidated_at = invalidated_at
        self._callback = callback
        self._owner: Subscriptions | None = owner

    def close(self) -> None:
        """Stop watching; harmless when repeated. No callback comes afterwards."""
        if self._owner is not None:
            self._owner._remove(self)
            self._owner = None

    def _invalidate(self, ts: int) -> None:
        if self.invalidated_at is None and self._owner is not None:
            self.invalidated_at = ts
            self._callback(self)


class Subscriptions:
    """All read sets under watch.

    `publish` finds those that a commit touches in a time that grows with their number and with the
    logarithm of all others'. Callbacks run inside it: they must be quick and must not raise.
    """

    def __init__(self, log: WriteLog) -> None:
        self._log = log
        self._indexes: dict[int, IntervalMap[Subscription]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(
        self, reads: ReadSet, ts: int, callback: Callable[[Subscription], None]
    ) -> Subscription:
        """Watch a read set that was true at `ts`.

        When a commit since `ts` changed it, or the log does not reach back so far, the subscription
        comes back already invalidated and is never called back.
        """
        stale_at = self._stale_at(reads, ts)
        subscription = Subscription(self, reads, callback, stale_at)
        self._size += 1
        if stale_at is None:
            for index_id, read in reads.indexes.items():
                index = self._indexes.setdefault(index_id, IntervalMap())
                for key in read.points:
                    index.add_point(key, subscription)
                for start, end in read.ranges():
                    index.add_range(start, end, subscription)
        return subscription

    def publish(self, ts: int, writes: Sequence[DocumentWrite]) -> int:
        """Invalidate and call back whoever read what these writes touch; returns how many."""
        touched: set[Subscription] = set()
        for write in writes:
            for index_id, key in write.touched():
                index = self._indexes.get(index_id)
                if index is not None:
                    for holders in index.holding(key):
                        touched |= holders
        stale = [each for each in touched if each.invalidated_at is None]
        for subscription in stale:
            subscription._invalidate(ts)
        return len(stale)

    def _stale_at(self, reads: ReadSet, ts: int) -> int | None:
        try:
            overlap = self._log.first_overlap(reads, ts)
        except OutOfRetention:
            return self._log.covers_after
        return overlap.ts if overlap is not None else None

    def _remove(self, subscription: Subscription) -> None:
        self._size -= 1
        for index_id, read in subscription.reads.indexes.items():
            index = self._indexes.get(index_id)
            if index is None:
                continue
            for key in read.points:
                index.remove_point(key, subscription)
            for start, end in read.ranges():
                index.remove_range(start, end, subscription)
            if not index:
                del self._indexes[index_id]

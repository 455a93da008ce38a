"""The newest commits, kept in memory to judge reads of a little while ago.

Owns which index positions each commit touched and for how long that is remembered. Never holds
documents. One invariant: for every timestamp in (`covers_after`, newest commit] all touched
positions are here; a question that reaches further back is refused, never answered with "nothing".
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

import msgspec

from pyconvex.database.reads import IndexReads, ReadSet
from pyconvex.storage import DocumentWrite

RETENTION_NS = 60 * 10**9  # Convex keeps 30 to 300 s
TRIM_EVERY_NS = 10 * 10**9
MAX_TOUCHES = 500_000  # about 150 MB; a deployment this busy keeps less than RETENTION_NS


class Overlap(msgspec.Struct, frozen=True):
    """The commit that changed something that was read, and one document that it changed."""

    ts: int
    tablet: int
    id: bytes
    #: The function that did it; "" for the host itself.
    source: str
    #: Where in which index it changed.
    index_id: int
    key: bytes


class OutOfRetention(Exception):
    """The log does not reach back to the asked timestamp: read again at a newer snapshot."""


class _Touches:
    """The touched positions of one index, oldest first."""

    __slots__ = ("documents", "keys", "newest", "timestamps")

    def __init__(self) -> None:
        self.newest: dict[bytes, int] = {}
        self.timestamps: list[int] = []
        self.keys: list[bytes] = []
        #: Tablet and id of the document that was written, and by what, to name them: the write
        #: itself has the document's bytes, which may be a megabyte.
        self.documents: list[tuple[int, bytes, str]] = []

    def may_overlap(self, read: IndexReads, after_ts: int) -> bool:
        """False when nothing after `after_ts` can lie in what was read; quick for points."""
        if self.timestamps[-1] <= after_ts:
            return False
        newest = self.newest
        return bool(read.starts) or any(newest.get(key, 0) > after_ts for key in read.points)

    def forget(self, count: int) -> None:
        """Drop the oldest positions."""
        del self.timestamps[:count], self.keys[:count], self.documents[:count]
        self.newest = dict(zip(self.keys, self.timestamps, strict=True))


class WriteLog:
    """Remembers commits from `start_ts` (exclusive) on."""

    def __init__(
        self, start_ts: int, retention_ns: int = RETENTION_NS, max_touches: int = MAX_TOUCHES
    ) -> None:
        self._covers_after = start_ts
        self._retention_ns = retention_ns
        self._max_touches = max_touches
        self._indexes: dict[int, _Touches] = {}
        self._commits: deque[tuple[int, int]] = deque()  # timestamp, positions that it touched
        self._size = 0
        self._trimmed_ts = start_ts

    @property
    def covers_after(self) -> int:
        """The oldest snapshot that can still be judged."""
        return self._covers_after

    @property
    def newest_ts(self) -> int:
        """The newest commit: nothing that was read at it, or later, has changed."""
        return self._commits[-1][0] if self._commits else self._covers_after

    def append(self, ts: int, writes: Sequence[DocumentWrite], source: str = "") -> None:
        """Remember a commit; timestamps come in ascending order."""
        before, source = self._size, sys.intern(source)
        for write in writes:
            document = write.tablet, write.id, source
            for index_id, key in write.touched():
                touches = self._indexes.get(index_id)
                if touches is None:
                    touches = self._indexes[index_id] = _Touches()
                touches.timestamps.append(ts)
                touches.keys.append(key)
                touches.documents.append(document)
                touches.newest[key] = ts
                self._size += 1
        self._commits.append((ts, self._size - before))
        if self._size > self._max_touches or ts - self._trimmed_ts > TRIM_EVERY_NS:
            self._trim(ts)

    def first_overlap(
        self, reads: ReadSet, after_ts: int, through_ts: int | None = None
    ) -> Overlap | None:
        """The earliest commit in (after_ts, through_ts] that touched what was read.

        None as `through_ts` means up to the newest. Of several places that it touched one in a
        range is told, if there is one. Raises `OutOfRetention`.
        """
        if after_ts < self._covers_after:
            raise OutOfRetention(f"the log begins after {self._covers_after}")
        best: Overlap | None = None
        for index_id, read in reads.indexes.items():
            touches = self._indexes.get(index_id)
            if touches is None or not touches.may_overlap(read, after_ts):
                continue
            limit = through_ts if best is None else best.ts
            for place in range(bisect_right(touches.timestamps, after_ts), len(touches.keys)):
                ts, key = touches.timestamps[place], touches.keys[place]
                if limit is not None and ts > limit:
                    break
                if best is not None and ts == best.ts and not read.in_range(key):
                    continue
                if key in read:
                    best = Overlap(ts, *touches.documents[place], index_id, key)
                    break
        return best

    def _trim(self, now_ts: int) -> None:
        self._trimmed_ts = now_ts
        target = self._max_touches // 2 if self._size > self._max_touches else self._size
        while self._commits:
            ts, touched = self._commits[0]
            if self._size <= target and ts > now_ts - self._retention_ns:
                break
            self._commits.popleft()
            self._size -= touched
            self._covers_after = ts
        for index_id, touches in list(self._indexes.items()):
            cut = bisect_right(touches.timestamps, self._covers_after)
            if cut == len(touches.keys):
                del self._indexes[index_id]
            elif cut:
                touches.forget(cut)

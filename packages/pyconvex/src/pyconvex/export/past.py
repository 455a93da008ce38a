"""The documents as they were at an earlier commit, for as long as the revision log tells.

Owns what has changed since then, and looking up what was there before. Never holds a snapshot open.
One invariant: a document that has not changed since is its current version; of one that has, the
log's first later entry names the version that was there.

When that version itself is forgotten (it was written before the log begins, and replaced after the
earlier commit), the current one is given in its place: it comes again with the changes since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

from pyconvex.export.refusal import ExportRefused
from pyconvex.storage import Reader

#: Some hundred bytes of memory each.
MAX_CHANGED = 2_000_000


class Version(NamedTuple):
    """A document's bytes, and when they were committed."""

    id: bytes
    ts: int
    doc: bytes


class Past:
    """One earlier commit; keep it for the walk, and `catch_up` in each snapshot before the rest."""

    def __init__(self, ts: int) -> None:
        self.ts = ts
        self._seen_ts = ts
        self._count = 0
        #: By tablet and id, the timestamp of the version that was there; None for none.
        self._before: dict[int, dict[bytes, int | None]] = defaultdict(dict)

    def catch_up(self, reader: Reader) -> None:
        """Note what has changed until the open snapshot. Raises `ExportRefused`."""
        assert reader.head is not None
        if not reader.knows_since(self._seen_ts):
            raise ExportRefused(
                "SnapshotTooOld",
                "The snapshot is older than the changes that this deployment still knows. Start "
                "again without a snapshot.",
            )
        for _, tablet, id, prev_ts in reader.walk_changes(self._seen_ts):
            self._count += self._note(tablet, id, prev_ts)
            if self._count > MAX_CHANGED:
                raise ExportRefused(
                    "SnapshotTooOld",
                    "Too much has changed since the snapshot. Start again without one, or use "
                    "/api/v1/data/sync, which needs none.",
                )
        self._seen_ts = reader.head.ts

    def _note(self, tablet: int, id: bytes, prev_ts: int | None) -> bool:
        before = self._before[tablet]
        if id in before:
            return False
        before[id] = prev_ts
        return True

    def walk(self, reader: Reader, tablet: int, after: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        """Id, timestamp and bytes of a table's documents behind `after`, by id; where the bytes are
        empty, `fill` knows them.
        """
        before = self._before.get(tablet)
        if not before:
            return reader.walk_documents(tablet, after)
        unchanged = (row for row in reader.walk_documents(tablet, after) if row[0] not in before)
        replaced = ((id, ts, b"") for id, ts in before.items() if id > after and ts is not None)
        return merge(unchanged, sorted(replaced))

    def fill(
        self, reader: Reader, tablet: int, rows: list[tuple[bytes, int, bytes]]
    ) -> list[Version]:
        """The versions of these rows, without those that nobody knows any more."""
        wanted = defaultdict(set)
        for id, ts, doc in rows:
            if not doc:
                wanted[ts].add(id)
        found = {}
        for ts, ids in wanted.items():
            found.update({(id, ts): doc for id, doc in _of_commit(reader, ts, tablet, ids)})
        versions = (self._version(reader, tablet, row, found) for row in rows)
        return [version for version in versions if version is not None]

    def _version(
        self,
        reader: Reader,
        tablet: int,
        row: tuple[bytes, int, bytes],
        found: dict[tuple[bytes, int], bytes],
    ) -> Version | None:
        id, ts, doc = row
        if doc or (id, ts) in found:
            return Version(id, ts, doc or found[id, ts])
        current = reader.get(tablet, id)
        return None if current is None else Version(id, *current)


def _of_commit(
    reader: Reader, ts: int, tablet: int, ids: set[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    for commit_ts, of, id, doc in reader.walk_commit(ts):
        if commit_ts != ts:
            return
        if of == tablet and id in ids and doc is not None:
            yield id, doc

"""One function run's view of the data: a snapshot, what it read of it, and its own writes.

Owns the read set, the write buffer and scans that merge both, by the numbers of tables and indexes.
Never commits: it proposes. One invariant: every stored row that could have changed an answer lies
in the read set, and nothing else does, so that two runs conflict only when they truly meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Protocol, Self, TypeVar

from pyconvex.database import limits
from pyconvex.database.buffer import Pending, Stored, WriteBuffer
from pyconvex.database.catalog import (
    TABLES,
    Catalog,
    IndexInfo,
    TableInfo,
    table_of,
)
from pyconvex.database.documents import decode_document
from pyconvex.database.reads import TOP, ReadSet
from pyconvex.database.scans import Row, Scan, StoredRows
from pyconvex.storage import Head, IndexEntry, Proposal, QueueAppend, Reader, Replay
from pyconvex.storage.model import FIRST_DATA_TABLET
from pyconvex.storage.reader import NO_LIMIT
from pyconvex.values import TableNumbers, Value, codec, ids, order

T = TypeVar("T")

DAY_MS = 24 * 3600 * 1000


class DocumentCheck(Protocol):
    """Says whether a document may stand in a component's table; raises when it may not.

    Gets the whole document as it would be stored, system fields included, and the component's
    tables, for the ids in it.
    """

    def __call__(
        self, component: str, tables: TableNumbers, table: str, document: dict[str, Value]
    ) -> None: ...


class Draft:
    """Reads at one snapshot and buffered writes, row by row.

    Takes the reader's open snapshot or opens one. `now_ms` is the frozen clock of the run, `random`
    the source of new document ids.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        now_ms: float,
        random: ids.RandomBytes,
        catalog: Catalog | None = None,
        check: DocumentCheck | None = None,
    ) -> None:
        self.head: Head = reader.head or reader.begin()
        self.now_ms = now_ms
        self.usage = limits.Usage()
        self.buffer = WriteBuffer()
        self.check = check
        self._reader = reader
        self._random = random
        self._catalog = catalog or Catalog()
        self._reads = ReadSet()
        self._scans: list[Scan] = []
        #: By component, and name or number.
        self._tables: dict[tuple[str, str | int], TableInfo | None] = {}
        self._unfinished: set[int] = set()
        self._creation_time = math.nextafter(now_ms, -math.inf)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the snapshot go; what was read and written stays available."""
        self._reader.end()
        self.check = None

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo every write of the block when it raises; what it read stays read."""
        mark = self.buffer.mark()
        try:
            yield
        except BaseException:
            self.buffer.undo(mark)
            self._tables.clear()
            raise

    def read_set(self) -> ReadSet:
        """What was read up to now, unfinished scans as far as they went."""
        for scan in self._scans:
            scan.record(self._reads)
        return self._reads

    def warnings(self) -> list[limits.LimitWarning]:
        """Limits that this transaction came near to, in Convex's words."""
        return self.usage.warnings(self.read_set().interval_count(FIRST_DATA_TABLET))

    def proposal(self, replay: Replay | None = None, *, source: str = "") -> Proposal:
        """What to give to the committer; writes that change nothing are left out.

        `source` is the path of the function that decided it.
        """
        return Proposal(
            snapshot_ts=self.head.ts,
            reads=self.read_set().encode(),
            writes=tuple(self.buffer.writes()),
            appends=tuple(self.buffer.appends),
            replay=replay,
            backfill=tuple(self.buffer.backfill),
            dropped_indexes=tuple(self.buffer.dropped_indexes),
            unfinished=tuple(sorted(self._unfinished)),
            source=source,
        )

    def next_creation_time(self) -> float:
        """The run's clock at the first insert, then the next greater number each time."""
        self._creation_time = math.nextafter(self._creation_time, math.inf)
        return self._creation_time

    def new_id(self) -> bytes:
        return ids.new_internal(self._random, int(self.now_ms // DAY_MS))

    def fetch(self, table: TableInfo, id: bytes, *, counted: bool = True) -> Pending | None:
        """A document by its id, own version first; a read of that point in either case."""
        self._reads.add_point(table.tablet, id)
        if counted:
            limits.check_intervals(self._reads.interval_count(FIRST_DATA_TABLET))
        pending = self.buffer.get(table.tablet, id)
        if pending is None:
            found = self._reader.get(table.tablet, id)
            if found is None:
                return None
            stored = Stored(*found, keys=())
            pending = Pending(table.tablet, id, stored, stored.doc, ())
        if pending.doc is not None and counted:
            self.usage.count_read(len(pending.doc))
        return pending

    def put(
        self,
        table: TableInfo,
        id: bytes,
        before: Pending | None,
        after: tuple[bytes, dict[str, Value]] | None,
    ) -> None:
        """Buffer a document's new version, encoded and as it is, or its deletion.

        `before` is what `fetch` gave.
        """
        self._unfinished.update(index.id for index in table.unfinished)
        stored = before.stored if before is not None else None
        if stored is not None and not stored.keys and table.indexes:
            stored = stored._replace(keys=table.keys_of(decode_document(stored.doc)))
        self._reads.add_point(table.tablet, id)
        if after is None:
            self.buffer.put(Pending(table.tablet, id, stored, None, ()))
        else:
            doc, document = after
            keys = table.keys_of(document)
            places = table.pending_places(document) if codec.is_pending(doc) else None
            self.buffer.put(Pending(table.tablet, id, stored, doc, keys, places))
        if table.tablet < FIRST_DATA_TABLET:
            self._tables.clear()

    def enqueue(self, queue: int, body: bytes) -> None:
        self.buffer.appends.append(QueueAppend(queue, body))

    def add_backfill(self, entry: IndexEntry) -> None:
        self.buffer.backfill.append(entry)

    def scan(
        self,
        index_id: int,
        tablet: int,
        start: bytes,
        end: bytes | None,
        *,
        descending: bool = False,
        counted: bool = True,
        expect: int | None = None,
        admit: Callable[[int], bool] | None = None,
    ) -> Generator[Row, None, None]:
        """The documents in [start, end) of an index, own writes merged in, lazily.

        The read set grows with each row up to and including it, and to the whole interval once the
        end is reached. `expect` is how many rows the caller will take at most. `admit` is asked
        with each row's bytes and ends the scan with False: the row it refuses is in the read set,
        because that it's there has decided something, but it doesn't count.
        """
        scan = Scan(index_id, start, TOP if end is None else end, descending=descending)
        base = StoredRows(self._reader, scan, expect)
        self._scans.append(scan)
        if counted:
            limits.check_intervals(self._reads.interval_count(FIRST_DATA_TABLET) + 1)
        try:
            while (row := self._next_row(scan, base, tablet)) is not None:
                scan.pass_key(row.key)
                if admit is not None and not admit(len(row.doc)):
                    return
                if counted:
                    self.usage.count_read(len(row.doc))
                yield row
            scan.finished = True
        finally:
            self._scans.remove(scan)
            scan.record(self._reads)

    def _next_row(self, scan: Scan, base: StoredRows, tablet: int) -> Row | None:
        """The next row behind the scan's position, be it stored or own."""
        stored = base.peek()
        while stored is not None and self.buffer.get(tablet, stored[1]) is not None:
            base.skip()
            stored = base.peek()
        start, end = scan.remaining()
        own = self.buffer.next_place(scan.index_id, start, end, descending=scan.descending)
        if own is not None and (
            stored is None or (own[0] > stored[0] if scan.descending else own[0] < stored[0])
        ):
            pending = self.buffer.get(tablet, own[1])
            assert pending is not None
            assert pending.doc is not None
            return Row(own[0], own[1], None, pending.doc)
        if stored is None:
            return None
        base.skip()
        return Row(*stored)

    def registry_rows(
        self, table: TableInfo, index: str, *values: object, descending: bool = False
    ) -> list[dict[str, Value]]:
        """The rows of a registry whose key begins with `values`; cached, always recorded."""
        info = table.indexes[index]
        start, end = _registry_key(*values)
        if len(values) == len(info.fields):
            self._reads.add_point(info.id, start)
            end = start + b"\0"
        else:
            self._reads.add_range(info.id, start, end)
        known, asked = self._known_of(table), (info.id, start)
        if asked not in known:
            known[asked] = self._scan_registry(table, info, start, end)
        rows: list[dict[str, Value]] = known[asked]
        return rows

    def last_registry_row(
        self, table: TableInfo, index: str, start: bytes, end: bytes | None
    ) -> dict[str, Value] | None:
        """The last row in a registry's interval; only what lies behind it counts as read."""
        info = table.indexes[index]
        rows = self.scan(info.id, table.tablet, start, end, descending=True, counted=False)
        row = next(rows, None)
        rows.close()
        return decode_document(row.doc) if row is not None else None

    def table_named(self, component: str, name: str) -> TableInfo | None:
        """A table by name; a read of the registry, so that creating it is noticed."""
        key = (component, name)
        if key not in self._tables:
            self._tables[key] = self.registered(TABLES, "by_name", table_of, component, name)
        return self._tables[key]

    def table_numbered(self, component: str, number: int) -> TableInfo | None:
        """A table by number; a read of the registry as well."""
        key = (component, number)
        if key not in self._tables:
            self._tables[key] = self.registered(TABLES, "by_number", table_of, component, number)
        return self._tables[key]

    def registered(
        self, table: TableInfo, index: str, shape: Callable[[dict[str, Value]], T], *key: object
    ) -> T | None:
        """The row of a registry with this key, in its own shape; cached, always recorded."""
        info = table.indexes[index]
        start, _ = _registry_key(*key)
        self._reads.add_point(info.id, start)
        known, asked = self._known_of(table), (shape, info.id, start)
        if asked not in known:
            rows = self._scan_registry(table, info, start, start + b"\0")
            known[asked] = shape(rows[0]) if rows else None
        row: T | None = known[asked]
        return row

    def _known_of(self, table: TableInfo) -> dict[Hashable, Any]:
        """What the process knows of a registry; nothing where this transaction changes it."""
        if self.buffer.touches(table.tablet):
            return {}
        return self._catalog.known(self.head.catalog_ts)

    def _scan_registry(
        self, table: TableInfo, index: IndexInfo, start: bytes, end: bytes | None
    ) -> list[dict[str, Value]]:
        """Registry rows; the caller has recorded the read, as exactly as it can be."""
        if self.buffer.touches(table.tablet):
            rows = self.scan(index.id, table.tablet, start, end, counted=False)
            return [decode_document(row.doc) for row in rows]
        stored = self._reader.scan(index.id, start, end, descending=False, limit=NO_LIMIT)
        return [decode_document(doc) for _, _, _, doc in stored]


# Every run looks up the same few components, tables and variables.
@lru_cache(maxsize=4096, typed=True)
def _registry_key(*values: object) -> tuple[bytes, bytes | None]:
    """The key that begins with these values, and what sorts after all such keys."""
    start = order.encode_key(values)
    return start, order.successor(start)

"""How a scan goes over an index: what it met, how far it went, and the stored rows ahead of it.

Owns a scan's position, and fetching in batches. Never sees a transaction's own writes. One
invariant: what a scan records as read is what was consumed, and no more.
"""

from __future__ import annotations

from typing import NamedTuple

from pyconvex.database.reads import TOP, ReadSet
from pyconvex.storage import Reader

FIRST_BATCH_ROWS = 16  # a scan's first fetch; most queries end within it
MAX_BATCH_ROWS = 256  # bounds what a query that stops early fetched in vain


class Row(NamedTuple):
    """A document as a scan meets it; `stored_ts` is None for one that this transaction wrote."""

    key: bytes
    id: bytes
    stored_ts: int | None
    doc: bytes


class Scan:
    """How far a scan went."""

    __slots__ = ("descending", "end", "finished", "index_id", "passed", "start")

    def __init__(self, index_id: int, start: bytes, end: bytes, *, descending: bool) -> None:
        self.index_id = index_id
        self.start = start
        self.end = end
        self.descending = descending
        self.passed: bytes | None = None
        self.finished = False

    def pass_key(self, key: bytes) -> None:
        self.passed = key

    def remaining(self) -> tuple[bytes, bytes]:
        if self.passed is None:
            return self.start, self.end
        if self.descending:
            return self.start, self.passed
        return self.passed + b"\0", self.end

    def record(self, reads: ReadSet) -> None:
        """Add the part that was consumed, bounds inclusive of the last row."""
        if self.finished:
            reads.add_range(self.index_id, self.start, self.end)
        elif self.passed is None:
            return
        elif self.descending:
            reads.add_range(self.index_id, self.passed, self.end)
        else:
            reads.add_range(self.index_id, self.start, self.passed + b"\0")


class StoredRows:
    """The stored rows of a scan, fetched in growing batches so that no statement stays open."""

    __slots__ = ("_at", "_batch", "_exhausted", "_reader", "_rows", "_scan", "_start", "_stop")

    def __init__(self, reader: Reader, scan: Scan, expect: int | None) -> None:
        self._reader = reader
        self._scan = scan
        self._start, self._stop = scan.start, scan.end
        self._batch = min(expect or FIRST_BATCH_ROWS, MAX_BATCH_ROWS)
        self._rows: list[tuple[bytes, bytes, int, bytes]] = []
        self._at = 0
        self._exhausted = False

    def peek(self) -> tuple[bytes, bytes, int, bytes] | None:
        if self._at == len(self._rows) and not self._exhausted:
            self._fetch()
        return self._rows[self._at] if self._at < len(self._rows) else None

    def skip(self) -> None:
        self._at += 1

    def _fetch(self) -> None:
        scan = self._scan
        end = None if self._stop == TOP else self._stop
        self._rows = self._reader.scan(
            scan.index_id, self._start, end, descending=scan.descending, limit=self._batch
        )
        self._at = 0
        self._exhausted = len(self._rows) < self._batch
        self._batch = min(self._batch * 4, MAX_BATCH_ROWS)
        if self._rows:
            last = self._rows[-1][0]
            if scan.descending:
                self._stop = last
            else:
                self._start = last + b"\0"

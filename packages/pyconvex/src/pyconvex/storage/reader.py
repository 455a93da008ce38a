"""Reading one snapshot at a time.

Owns a read-only connection, opened at first use. Never writes, never carries its connection across
a fork. One invariant: between `begin` and `end` everything read belongs to one commit, `head.ts`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from pyconvex.storage.errors import StorageFailure, failure_of
from pyconvex.storage.layout import open_reader
from pyconvex.storage.model import (
    END,
    START,
    Head,
    Position,
    QueueRow,
    QueueStats,
    Revision,
    SetAsideRow,
    StoredReplay,
    tablet_of,
)

_SCAN = (
    "SELECT e.key, e.id, d.ts, d.doc FROM entries e CROSS JOIN documents d"
    " WHERE e.index_id = ?1 AND e.key >= ?2 {upper}"
    " AND d.tablet = ?3 AND d.id = e.id ORDER BY e.key {order} LIMIT ?4"
)
_SCAN_IDS = (
    "SELECT id, id, ts, doc FROM documents"
    " WHERE tablet = ?1 AND id >= ?2 {upper} ORDER BY id {order} LIMIT ?4"
)

#: As a `limit`: all there is.
NO_LIMIT = -1

Row = tuple[bytes, bytes, int, bytes]
"""Index key, document id, version timestamp, document."""


class Reader:
    """Snapshots of a database file, for any process.

    `begin()` opens the newest snapshot, `end()` lets it go; hold one for a second at most, because
    it keeps the log from restarting. Every method raises `StorageFailure` when the disk fails.

    A reader made before a fork and not yet used opens in the child; one that was used before
    refuses, since an engine connection does not survive a fork.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._db: apsw.Connection | None = None
        self._pid = 0
        self._head: Head | None = None

    @property
    def head(self) -> Head | None:
        """The snapshot that is open, if one is."""
        return self._head

    def begin(self) -> Head:
        if self._head is not None:
            raise RuntimeError("a snapshot is already open on this reader")
        try:
            db = self._connection()
            db.execute("BEGIN")
            ts, catalog_ts = db.execute("SELECT ts, catalog_ts FROM head").get
        except apsw.Error as error:
            self._drop_snapshot()
            raise failure_of(error, "opening a snapshot") from error
        self._head = Head(ts, catalog_ts)
        return self._head

    def end(self) -> None:
        """Let the snapshot go; harmless when none is open."""
        if self._head is not None:
            self._head = None
            self._drop_snapshot()

    def close(self) -> None:
        self.end()
        if self._db is not None and self._pid == os.getpid():
            self._db.close()
            self._db = None

    def get(self, tablet: int, id: bytes) -> tuple[int, bytes] | None:
        """A document's version timestamp and bytes."""
        sql = "SELECT ts, doc FROM documents WHERE tablet = ? AND id = ?"
        rows: list[tuple[int, bytes]] = self._rows(sql, (tablet, id))
        return rows[0] if rows else None

    def scan(
        self, index_id: int, start: bytes, end: bytes | None, *, descending: bool, limit: int
    ) -> list[Row]:
        """Up to `limit` documents whose key lies in [start, end), in key order.

        `end` None means no upper bound. The index id of a tablet itself is its index of ids. To go
        on after a full answer, start behind its last key (`key + b"\\0"`), or end at it.
        """
        tablet = tablet_of(index_id)
        sql = _SCANS[index_id == tablet, end is not None, descending]
        values = (index_id, start, tablet, limit)
        return self._rows(sql, values if end is None else (*values, end))

    def revisions(self, after: Position, *, limit: int, up_to_ts: int) -> list[Revision] | None:
        """Versions in commit order behind `after`; None when some of them are already forgotten."""
        first = self._rows("SELECT revisions_from FROM head", ())[0][0]
        place = after.ts + after.seq
        if after.ts + 1 < first:
            return None
        sql = (
            "SELECT place - seq, seq, tablet, id, doc, prev_ts FROM revisions"
            " WHERE place > ? AND place - seq <= ? ORDER BY place LIMIT ?"
        )
        rows = self._rows(sql, (place, up_to_ts, limit))
        return [Revision(*row) for row in rows]

    def knows_since(self, ts: int) -> bool:
        """Whether no revision behind this timestamp is forgotten yet."""
        first: int = self._rows("SELECT revisions_from FROM head", ())[0][0]
        return ts + 1 >= first

    def walk_documents(self, tablet: int, after: bytes) -> Iterator[tuple[bytes, int, bytes]]:
        """Id, version timestamp and bytes of a table's documents behind `after`, by id, one by one.

        For readers with a bound of their own; end the walk before the snapshot.
        """
        sql = "SELECT id, ts, doc FROM documents WHERE tablet = ? AND id > ? ORDER BY id"
        return self._walk(sql, (tablet, after))

    def walk_revisions(self, after_ts: int) -> Iterator[tuple[int, int, bytes, bytes | None]]:
        """Timestamp, tablet, id and bytes of the versions of later commits, in their order.

        As `walk_documents`; ask `knows_since` first.
        """
        sql = (
            "SELECT place - seq, tablet, id, doc FROM revisions"
            " WHERE place > ?1 AND place - seq > ?1 ORDER BY place"
        )
        return self._walk(sql, (after_ts,))

    def walk_changes(self, after_ts: int) -> Iterator[tuple[int, int, bytes, int | None]]:
        """As `walk_revisions`, without bytes, but with the timestamp of the version before."""
        sql = (
            "SELECT place - seq, tablet, id, prev_ts FROM revisions"
            " WHERE place > ?1 AND place - seq > ?1 ORDER BY place"
        )
        return self._walk(sql, (after_ts,))

    def walk_commit(self, ts: int) -> Iterator[tuple[int, int, bytes, bytes | None]]:
        """As `walk_revisions`, but beginning with the commit at `ts` itself."""
        sql = (
            "SELECT place - seq, tablet, id, doc FROM revisions"
            " WHERE place >= ?1 AND place - seq >= ?1 ORDER BY place"
        )
        return self._walk(sql, (ts,))

    def walk_places(self, ts: int) -> Iterator[tuple[int, int, bytes, int]]:
        """As `walk_commit`, with the place of each version instead of its bytes."""
        sql = (
            "SELECT place - seq, tablet, id, place FROM revisions"
            " WHERE place >= ?1 AND place - seq >= ?1 ORDER BY place"
        )
        return self._walk(sql, (ts,))

    def version_at(self, place: int) -> bytes | None:
        """The bytes of the version at a place that this snapshot has; None for a deletion."""
        doc: bytes | None = self._rows("SELECT doc FROM revisions WHERE place = ?", (place,))[0][0]
        return doc

    def count(self, tablet: int) -> int:
        """How many documents a table has; a walk over its smallest index."""
        found: int = self._rows("SELECT count(*) FROM entries WHERE index_id = ?", (tablet + 1,))[
            0
        ][0]
        return found

    def queue_rows(
        self, queue: int, after: Position = START, *, limit: int, up_to_ts: int
    ) -> list[QueueRow]:
        """Rows in commit order behind `after`; give a durable timestamp as `up_to_ts`."""
        sql = (
            "SELECT ts, seq, body FROM queue WHERE queue = ? AND (ts, seq) > (?, ?) AND ts <= ?"
            " ORDER BY ts, seq LIMIT ?"
        )
        rows = self._rows(sql, (queue, after.ts, after.seq, up_to_ts, limit))
        return [QueueRow(*row) for row in rows]

    def set_aside_rows(
        self, queue: int, before: Position = END, *, limit: int
    ) -> list[SetAsideRow]:
        """The newest rows before a position that were set aside, newest first."""
        sql = (
            "SELECT ts, seq, body, reason FROM set_aside WHERE queue = ? AND (ts, seq) < (?, ?)"
            " ORDER BY ts DESC, seq DESC LIMIT ?"
        )
        rows = self._rows(sql, (queue, before.ts, before.seq, limit))
        return [SetAsideRow(*row) for row in rows]

    def set_aside_places(self, queue: int) -> list[tuple[Position, int]]:
        """Where every row stood that was set aside, and its bytes, oldest first."""
        sql = "SELECT ts, seq, length(body) FROM set_aside WHERE queue = ? ORDER BY ts, seq"
        return [(Position(ts, seq), size) for ts, seq, size in self._rows(sql, (queue,))]

    def count_set_aside(self, queue: int) -> int:
        """How many rows of a queue are set aside now."""
        count: int = self._rows("SELECT count(*) FROM set_aside WHERE queue = ?", (queue,))[0][0]
        return count

    def queue_stats(self, queue: int) -> QueueStats:
        rows = self._rows("SELECT * FROM queue_levels WHERE queue = ?", (queue,))
        return QueueStats(*rows[0][1:]) if rows else QueueStats()

    def find_replay(self, session_id: str, request_id: int) -> StoredReplay | None:
        """The kept answer to a client's numbered mutation."""
        sql = "SELECT ts, result FROM replays WHERE session_id = ? AND request_id = ?"
        rows = self._rows(sql, (session_id, request_id))
        return StoredReplay(*rows[0]) if rows else None

    def _rows(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        if self._head is None or self._db is None:
            raise RuntimeError("no snapshot is open on this reader")
        try:
            return self._db.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise failure_of(error, "reading") from error

    def _walk(self, sql: str, values: tuple[object, ...]) -> Iterator[Any]:
        if self._head is None or self._db is None:
            raise RuntimeError("no snapshot is open on this reader")
        try:
            yield from self._db.execute(sql, values)
        except apsw.Error as error:
            raise failure_of(error, "reading") from error

    def _connection(self) -> apsw.Connection:
        if self._db is None:
            self._db, self._pid = open_reader(self._database), os.getpid()
        elif self._pid != os.getpid():
            raise StorageFailure(
                "This reader was used before the process forked. Make a new one in the child, and "
                "let the process that forks use none."
            )
        return self._db

    def _drop_snapshot(self) -> None:
        if self._db is not None and self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _scan_sql(by_id: bool, bounded: bool, descending: bool) -> str:
    column = "id" if by_id else "e.key"
    return (_SCAN_IDS if by_id else _SCAN).format(
        upper=f"AND {column} < ?5" if bounded else "", order="DESC" if descending else "ASC"
    )


_SCANS = {
    (by_id, bounded, descending): _scan_sql(by_id, bounded, descending)
    for by_id in (False, True)
    for bounded in (False, True)
    for descending in (False, True)
}

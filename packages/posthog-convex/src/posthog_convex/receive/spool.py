"""What was accepted and not yet passed on: a SQLite file.

Owns the events in the order in which they came, a cursor for each way out, the digests of batches
that were taken, and what nobody would take. Never looks into an event. One invariant: `accept`
returns when the batch would survive a power cut, and a batch is taken once.

One process at a time: the folder is locked. Every call is short and may block on the disk.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import msgspec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batches (digest BLOB PRIMARY KEY, at_ms REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_by_time ON batches (at_ms);
CREATE TABLE IF NOT EXISTS outlets (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_aside (
    outlet TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL
);
"""
#: Room that a batch leaves on the disk: without any, what was sent could not be deleted either.
RESERVE_BYTES = 8 * 1024 * 1024
#: Events that are kept set aside; the oldest go first.
MAX_SET_ASIDE = 1000


class SpoolError(RuntimeError):
    """The spool can't be used; the message says what to do."""


class Taken(Enum):
    """What became of a batch."""

    ACCEPTED = "accepted"
    KNOWN = "taken before"
    FULL = "no room"


class Row(msgspec.Struct, frozen=True):
    """One event that waits."""

    seq: int
    body: bytes


class Waiting(msgspec.Struct, frozen=True):
    """How one way out is doing; events, since the spool was made."""

    waiting: int
    sent: int
    set_aside: int


class Spool:
    """The spool in a folder; every outlet gets every event that comes while it is named."""

    def __init__(
        self,
        folder: Path,
        outlets: Sequence[str],
        *,
        max_bytes: int,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._folder = folder
        self._free_bytes = free_bytes
        self._outlets = tuple(outlets)
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise SpoolError(
                f"another receiver uses {folder}: stop it, or give this one a folder of its own"
            ) from None
        self._db = sqlite3.connect(
            folder / "spool.sqlite3", check_same_thread=False, isolation_level=None
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self._name_outlets()
        (self._bytes,) = self._db.execute("SELECT total(length(body)) FROM events").fetchone()

    def close(self) -> None:
        """Let the folder go."""
        with self._mutex:
            self._db.close()
            self._lock.close()

    def accept(self, digest: bytes, texts: Sequence[bytes], now_ms: float) -> Taken:
        """Take a batch, on disk when this returns."""
        size = sum(map(len, texts))
        with self._transaction():
            known = self._db.execute("SELECT 1 FROM batches WHERE digest = ?", (digest,))
            if known.fetchone():
                return Taken.KNOWN
            room = self._free_bytes(self._folder) - RESERVE_BYTES
            if self._bytes + size > self._max_bytes or size > room:
                return Taken.FULL
            self._db.execute("INSERT INTO batches VALUES (?, ?)", (digest, now_ms))
            self._db.executemany("INSERT INTO events (body) VALUES (?)", ((t,) for t in texts))
        self._bytes += size
        return Taken.ACCEPTED

    def read(self, outlet: str, max_rows: int, max_bytes: int) -> list[Row]:
        """The next events for an outlet: at least one if there is any."""
        found: list[Row] = []
        size = 0
        with self._mutex:
            rows = self._db.execute(
                "SELECT events.seq, body FROM events, outlets"
                " WHERE name = ? AND events.seq > outlets.seq ORDER BY events.seq LIMIT ?",
                (outlet, max_rows),
            )
            for seq, body in rows:
                size += len(body)
                if found and size > max_bytes:
                    break
                found.append(Row(seq, body))
        return found

    def done(self, outlet: str, through: int, sent: int) -> None:
        """Events up to this one are passed on; what every outlet is done with is deleted."""
        with self._transaction():
            self._db.execute(
                "UPDATE outlets SET seq = ?, sent = sent + ? WHERE name = ?",
                (through, sent, outlet),
            )
            gone = self._delete_done()
        self._bytes -= gone

    def set_aside(self, outlet: str, row: Row, reason: str) -> None:
        """Keep an event that an outlet's receiver will never take, out of the way."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO set_aside VALUES (?, ?, ?, ?)", (outlet, row.seq, row.body, reason)
            )
            self._db.execute(
                "DELETE FROM set_aside WHERE rowid <= (SELECT max(rowid) FROM set_aside) - ?",
                (MAX_SET_ASIDE,),
            )
            self._db.execute("UPDATE outlets SET seq = ? WHERE name = ?", (row.seq, outlet))
            gone = self._delete_done()
        self._bytes -= gone

    def forget_batches(self, before_ms: float) -> None:
        """Digests of batches that came earlier need not be known any more."""
        with self._transaction():
            self._db.execute("DELETE FROM batches WHERE at_ms < ?", (before_ms,))

    def waiting(self, outlet: str) -> Waiting:
        """How an outlet is doing."""
        with self._mutex:
            waiting, sent = self._db.execute(
                "SELECT (SELECT count(*) FROM events WHERE seq > outlets.seq), sent"
                " FROM outlets WHERE name = ?",
                (outlet,),
            ).fetchone()
            (aside,) = self._db.execute(
                "SELECT count(*) FROM set_aside WHERE outlet = ?", (outlet,)
            ).fetchone()
        return Waiting(waiting, sent, aside)

    def _name_outlets(self) -> None:
        """A new outlet begins with what comes next; one that is gone holds nothing back."""
        marks = ", ".join("?" for _ in self._outlets)
        with self._transaction():
            self._db.execute(f"DELETE FROM outlets WHERE name NOT IN ({marks})", self._outlets)  # noqa: S608  # only marks
            (last,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
            self._db.executemany(
                "INSERT OR IGNORE INTO outlets (name, seq) VALUES (?, ?)",
                ((name, last) for name in self._outlets),
            )

    def _delete_done(self) -> float:
        """The bytes that are free once the transaction is committed."""
        (done,) = self._db.execute("SELECT min(seq) FROM outlets").fetchone()
        (gone,) = self._db.execute(
            "SELECT total(length(body)) FROM events WHERE seq <= ?", (done,)
        ).fetchone()
        self._db.execute("DELETE FROM events WHERE seq <= ?", (done,))
        return float(gone)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

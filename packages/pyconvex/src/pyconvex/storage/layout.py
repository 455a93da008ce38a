"""The tables on disk, their format version, and how connections to them are set up.

Owns every CREATE statement and pragma. Never reads or writes rows beyond the first head. One
invariant: a folder is opened only if its format version is the one this code writes.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from pyconvex.storage.errors import FolderRefused

FORMAT_VERSION = 1
APPLICATION_ID = 0x70794376  # "pyCv": tells `file` and us that a database is ours

PAGE_BYTES = 4096
WRITER_CACHE_KIB = 65_536  # the working set of a busy deployment's inner pages
READER_CACHE_KIB = 8_192  # per isolate; the system's page cache is behind it
BUSY_TIMEOUT_MS = 5_000  # a reader may meet recovery or a log restart, never a long writer

# `revisions.place` is ts + seq, for which timestamps leave room: a table keyed by one integer that
# only grows at its end is the cheapest that the engine has.
_TABLES = """
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), ts INTEGER NOT NULL,
    catalog_ts INTEGER NOT NULL, revisions_from INTEGER NOT NULL) STRICT;
CREATE TABLE documents (tablet INTEGER NOT NULL, id BLOB NOT NULL, ts INTEGER NOT NULL,
    doc BLOB NOT NULL, PRIMARY KEY (tablet, id)) STRICT, WITHOUT ROWID;
CREATE TABLE entries (index_id INTEGER NOT NULL, key BLOB NOT NULL, id BLOB NOT NULL,
    PRIMARY KEY (index_id, key)) STRICT, WITHOUT ROWID;
CREATE TABLE revisions (place INTEGER PRIMARY KEY, seq INTEGER NOT NULL, tablet INTEGER NOT NULL,
    id BLOB NOT NULL, doc BLOB, prev_ts INTEGER) STRICT;
CREATE TABLE queue (queue INTEGER NOT NULL, ts INTEGER NOT NULL, seq INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (queue, ts, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE set_aside (queue INTEGER NOT NULL, ts INTEGER NOT NULL, seq INTEGER NOT NULL,
    body BLOB NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (queue, ts, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE queue_levels (queue INTEGER PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
    oldest_ts INTEGER, appended INTEGER NOT NULL, dropped INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL, set_aside INTEGER NOT NULL) STRICT;
CREATE TABLE replays (session_id TEXT NOT NULL, request_id INTEGER NOT NULL, ts INTEGER NOT NULL,
    result BLOB NOT NULL, PRIMARY KEY (session_id, request_id)) STRICT, WITHOUT ROWID;
CREATE INDEX replays_by_ts ON replays (ts);
CREATE TABLE dropped_indexes (index_id INTEGER PRIMARY KEY) STRICT;
INSERT INTO head VALUES (1, 1, 1, 1);
"""


def open_writer(database: Path) -> apsw.Connection:
    """The connection that writes, on a database that is created when missing."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    db = apsw.Connection(str(database), flags=flags)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    _create_or_check(db, database)
    # Commits are not synced one by one: one thread syncs the log for many (durability.py).
    for pragma in ("synchronous=NORMAL", "wal_autocheckpoint=0", "temp_store=MEMORY"):
        db.execute(f"PRAGMA {pragma}")
    db.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
    return db


def open_checkpointer(database: Path) -> apsw.Connection:
    """A connection for checkpoints; its syncs are the full ones."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_autocheckpoint=0")
    return db


def open_reader(database: Path) -> apsw.Connection:
    """A connection that cannot write."""
    uri = f"{database.resolve().as_uri()}?mode=ro"
    db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB}")
    db.execute("PRAGMA temp_store=MEMORY")
    return db


def _create_or_check(db: apsw.Connection, database: Path) -> None:
    try:
        version = db.pragma("user_version")
        empty = db.execute("SELECT count(*) FROM sqlite_schema").get == 0
    except apsw.NotADBError as error:
        raise FolderRefused(f"{database} is not a database; it was left as it is.") from error
    if version == 0 and empty:
        db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        db.execute("PRAGMA journal_mode=WAL")
        with db:
            db.execute(_TABLES)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        return
    check_format(db, database)


def check_format(db: apsw.Connection, database: Path) -> None:
    """Raise `FolderRefused` unless this is a database of ours, in the format of this version."""
    try:
        application, version = db.pragma("application_id"), db.pragma("user_version")
    except apsw.NotADBError as error:
        raise FolderRefused(f"{database} is not a database; it was left as it is.") from error
    if application != APPLICATION_ID:
        raise FolderRefused(f"{database} belongs to another program; it was left as it is.")
    if version != FORMAT_VERSION:
        side = "a newer" if version > FORMAT_VERSION else "an older"
        raise FolderRefused(
            f"{database} has format {version}, written by {side} version of pyconvex; this version "
            f"reads format {FORMAT_VERSION}. It was left as it is: use the other version, or "
            "export there and import here."
        )

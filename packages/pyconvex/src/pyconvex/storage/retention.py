"""What is forgotten, and after how long.

Owns the sweeps of replay records, old revisions, dropped indexes and dropped tables, whose number
is that of their index of ids. Never touches current documents or queued rows. One invariant: each
sweep is a short transaction of bounded size.
"""

from __future__ import annotations

import apsw

from pyconvex.storage.model import tablet_of

REPLAY_RETENTION_NS = 14 * 24 * 3600 * 10**9  # Convex keeps session requests about two weeks
REVISION_RETENTION_NS = 14 * 24 * 3600 * 10**9  # a data sync cursor older than this starts over
SWEEP_ROWS = 1_000  # a few milliseconds of writing at most

_DELETE_ENTRIES = (
    "DELETE FROM entries WHERE index_id = ?1 AND key IN"
    " (SELECT key FROM entries WHERE index_id = ?1 ORDER BY key LIMIT ?2)"
)
_DELETE_DOCUMENTS = (
    "DELETE FROM documents WHERE tablet = ?1 AND id IN"
    " (SELECT id FROM documents WHERE tablet = ?1 ORDER BY id LIMIT ?2)"
)


def sweep(db: apsw.Connection, now_ns: int) -> bool:
    """Forget up to `SWEEP_ROWS` rows of each kind; True when there may be more to forget."""
    swept = [
        _sweep_replays(db, now_ns - REPLAY_RETENTION_NS),
        _sweep_revisions(db, now_ns - REVISION_RETENTION_NS),
        _sweep_dropped_index(db),
    ]
    return any(swept)


def has_work(db: apsw.Connection, now_ns: int) -> bool:
    """True when a sweep would find something; reads only."""
    return bool(
        db.execute(
            "SELECT EXISTS (SELECT 1 FROM replays WHERE ts < ?)"
            " OR EXISTS (SELECT 1 FROM revisions WHERE place < ?)"
            " OR EXISTS (SELECT 1 FROM dropped_indexes)",
            (now_ns - REPLAY_RETENTION_NS, now_ns - REVISION_RETENTION_NS),
        ).get
    )


def _sweep_replays(db: apsw.Connection, before_ts: int) -> bool:
    db.execute(
        "DELETE FROM replays WHERE (session_id, request_id) IN"
        " (SELECT session_id, request_id FROM replays WHERE ts < ? ORDER BY ts LIMIT ?)",
        (before_ts, SWEEP_ROWS),
    )
    return db.changes() == SWEEP_ROWS


def _sweep_revisions(db: apsw.Connection, before_ts: int) -> bool:
    place = db.execute(
        "SELECT max(place) FROM"
        " (SELECT place FROM revisions WHERE place < ? ORDER BY place LIMIT ?)",
        (before_ts, SWEEP_ROWS),
    ).get
    if place is None:
        return False
    ts = db.execute("SELECT place - seq FROM revisions WHERE place = ?", (place,)).get
    db.execute("DELETE FROM revisions WHERE place <= ?", (place,))
    # Who has everything of that commit needs nothing of what went, also not of its later rows.
    db.execute("UPDATE head SET revisions_from = max(revisions_from, ?)", (ts + 1,))
    return True


def _sweep_dropped_index(db: apsw.Connection) -> bool:
    index_id = db.execute("SELECT index_id FROM dropped_indexes LIMIT 1").get
    if index_id is None:
        return False
    db.execute(
        _DELETE_DOCUMENTS if index_id == tablet_of(index_id) else _DELETE_ENTRIES,
        (
            index_id,
            SWEEP_ROWS,
        ),
    )
    if db.changes() < SWEEP_ROWS:
        db.execute("DELETE FROM dropped_indexes WHERE index_id = ?", (index_id,))
    return True

"""One proposal turned into rows.

Owns the statements that change documents, index entries, revisions and replay records. Never begins
or ends a transaction. One invariant: every change states what it replaces, so a proposal that
contradicts the stored rows is refused instead of applied.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from pyconvex.storage.model import DocumentWrite, IndexEntry, Proposal, Replay


class Contradiction(Exception):
    """The proposal does not fit what is stored."""


#: What the engine raises for a proposal that cannot be written; anything else is the disk's fault.
BAD_PROPOSAL = (
    Contradiction,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    OverflowError,
    TypeError,
)


def apply_proposal(db: apsw.Connection, ts: int, proposal: Proposal) -> None:
    """Write everything but queue rows; raises one of `BAD_PROPOSAL` if that cannot be."""
    for entry in proposal.backfill:
        _add_entry(db, entry)
    for seq, write in enumerate(proposal.writes):
        _write_document(db, ts, write, proposal.unfinished)
        db.execute(
            "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?)",
            (ts + seq, seq, write.tablet, write.id, write.doc, write.prev_ts),
        )
    for index_id in proposal.dropped_indexes:
        db.execute("INSERT INTO dropped_indexes VALUES (?)", (index_id,))
    if proposal.replay is not None:
        _record_replay(db, ts, proposal.replay)


def _write_document(
    db: apsw.Connection, ts: int, write: DocumentWrite, unfinished: tuple[int, ...]
) -> None:
    place = (write.tablet, write.id)
    if write.prev_ts is None:
        if write.doc is None:
            raise Contradiction("a document that does not exist cannot be deleted")
        db.execute("INSERT INTO documents VALUES (?, ?, ?, ?)", (*place, ts, write.doc))
    elif write.doc is None:
        sql = "DELETE FROM documents WHERE tablet = ? AND id = ? AND ts = ?"
        _change_one(db, sql, (*place, write.prev_ts))
    else:
        sql = "UPDATE documents SET ts = ?, doc = ? WHERE tablet = ? AND id = ? AND ts = ?"
        _change_one(db, sql, (ts, write.doc, *place, write.prev_ts))
    if write.old_keys != write.new_keys:
        _move_entries(db, write, unfinished)


def _change_one(db: apsw.Connection, sql: str, values: Sequence[apsw.SQLiteValue]) -> None:
    db.execute(sql, values)
    if db.changes() != 1:
        raise Contradiction("the version that it replaces is not the stored one")


def _move_entries(db: apsw.Connection, write: DocumentWrite, unfinished: tuple[int, ...]) -> None:
    sql = "DELETE FROM entries WHERE index_id = ? AND key = ? AND id = ?"
    for key in write.old_keys:
        if key in write.new_keys:
            continue
        if key[0] in unfinished:
            db.execute(sql, (*key, write.id))
        else:
            _change_one(db, sql, (*key, write.id))
    for key in write.new_keys:
        if key not in write.old_keys:
            db.execute("INSERT INTO entries VALUES (?, ?, ?)", (*key, write.id))


def _add_entry(db: apsw.Connection, entry: IndexEntry) -> None:
    # A document that was written since the index is maintained has its entry already.
    sql = "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)"
    db.execute(sql, (entry.index_id, entry.key, entry.id))


def _record_replay(db: apsw.Connection, ts: int, replay: Replay) -> None:
    row = (replay.session_id, replay.request_id, ts, replay.result)
    db.execute("INSERT INTO replays VALUES (?, ?, ?, ?)", row)

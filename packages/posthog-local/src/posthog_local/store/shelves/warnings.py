"""Ingestion warnings in the store.

Owns every SQL statement on them, and how many stay: the newest ten thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from posthog_local.ingest.event import IncomingEvent
from posthog_local.ingest.warning import IngestionWarning, Note, payload_text

WARNINGS_KEPT = 10_000
# Warnings are counted out in portions of this many.
_TRIM_EVERY = 256


class StoredWarning(msgspec.Struct, frozen=True, kw_only=True):
    """An ingestion warning with what caused it."""

    seq: int
    at_us: int
    kind: str
    event: str | None
    uuid: str | None
    distinct_id: str | None
    details: dict[str, Any]
    payload: str | None


def about(warning: IngestionWarning, event: IncomingEvent) -> Note:
    """The note that a warning about an event makes."""
    return Note(
        kind=warning.kind,
        at_us=event.received_us,
        event=event.event,
        uuid=event.uuid,
        distinct_id=event.distinct_id,
        details=warning.details,
        payload=payload_text(event.properties),
    )


def add(connection: apsw.Connection, note: Note) -> None:
    """Keeps a warning."""
    details = msgspec.json.encode(note.details).decode()
    connection.execute(
        "INSERT INTO warnings (at_us, kind, event, uuid, distinct_id, details, payload)"
        " VALUES (?,?,?,?,?,?,?)",
        (note.at_us, note.kind, note.event, note.uuid, note.distinct_id, details, note.payload),
    )
    if connection.last_insert_rowid() % _TRIM_EVERY == 0:
        trim(connection)


def trim(connection: apsw.Connection) -> None:
    """Drops the oldest beyond the number that stays."""
    connection.execute(
        "DELETE FROM warnings WHERE seq <= (SELECT max(seq) FROM warnings) - ?", (WARNINGS_KEPT,)
    )


def latest(connection: apsw.Connection, limit: int, kind: str | None = None) -> list[StoredWarning]:
    """The newest warnings first, of one kind if asked."""
    rows: Sequence[tuple[Any, ...]] = connection.execute(
        "SELECT seq, at_us, kind, event, uuid, distinct_id, details, payload FROM warnings"
        " WHERE :kind IS NULL OR kind = :kind ORDER BY seq DESC LIMIT :limit",
        {"kind": kind, "limit": limit},
    ).fetchall()
    return [
        StoredWarning(
            seq=row[0],
            at_us=row[1],
            kind=row[2],
            event=row[3],
            uuid=row[4],
            distinct_id=row[5],
            details=msgspec.json.decode(row[6]),
            payload=row[7],
        )
        for row in rows
    ]


def counts(connection: apsw.Connection) -> dict[str, int]:
    """How many warnings of each kind there are, the most first."""
    rows = connection.execute("SELECT kind, count(*) FROM warnings GROUP BY kind ORDER BY 2 DESC")
    return {kind: count for kind, count in rows}

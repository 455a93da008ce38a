"""Recordings in the store: pieces in the order in which they happened, gathered by session.

Owns every SQL statement on recordings. Pieces are kept compressed. The same piece sent twice, as
after a lost answer, is stored once.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from posthog_local.replay.snapshot import RecordingPiece
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One session's recording; times are milliseconds since 1970."""

    session_id: str
    distinct_id: str
    first_ms: int
    last_ms: int
    clicks: int
    keypresses: int
    console_errors: int
    start_url: str | None
    pieces: int
    source: str


def append(piece: RecordingPiece) -> Job[None]:
    """A job that stores one piece."""
    body = msgspec.json.encode(piece.items)
    identity = hashlib.sha256(f"{piece.session_id}\0{piece.window_id}\0".encode() + body).digest()
    row = (
        *(identity[:16], piece.session_id, piece.window_id, piece.distinct_id, piece.source),
        *(piece.first_ms, piece.last_ms, piece.clicks, piece.keypresses, piece.console_errors),
        *(piece.start_url, zlib.compress(body, 6), piece.received_us),
    )

    def job(transaction: Transaction) -> None:
        transaction.connection.execute(
            "INSERT INTO recording_pieces (id, session_id, window_id, distinct_id, source,"
            " first_ms, last_ms, clicks, keypresses, console_errors, start_url, items, received_us)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING",
            row,
        )

    return job


class RecordingReader:
    """Reads recordings as of the latest commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def latest(self, limit: int) -> list[Recording]:
        """The recordings that ended last, the latest first."""
        return list(self._recordings("true", {"limit": limit}))

    def of_person(self, distinct_id: str, limit: int) -> list[Recording]:
        """The recordings of the person with this id, the latest first."""
        where = (
            "distinct_id IN (SELECT :distinct_id UNION SELECT other.distinct_id"
            " FROM person_distinct_ids mine JOIN person_distinct_ids other USING (person_id)"
            " WHERE mine.distinct_id = :distinct_id)"
        )
        return list(self._recordings(where, {"distinct_id": distinct_id, "limit": limit}))

    def get(self, session_id: str) -> Recording | None:
        """One recording."""
        found = self._recordings("session_id = :id", {"id": session_id, "limit": 1})
        return next(found, None)

    def windows(self, session_id: str) -> list[str]:
        """The windows of a session, the first to be recorded first."""
        rows = self._connection.execute(
            "SELECT window_id FROM recording_pieces WHERE session_id = ?"
            " GROUP BY window_id ORDER BY min(first_ms), window_id",
            (session_id,),
        )
        return [window for (window,) in rows]

    def events(self, session_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Every rrweb event of a session with its window, in the order in which they happened."""
        rows = self._connection.execute(
            "SELECT window_id, items FROM recording_pieces WHERE session_id = ? ORDER BY first_ms",
            (session_id,),
        )
        events = [
            (window_id, item)
            for window_id, packed in rows
            for item in msgspec.json.decode(zlib.decompress(packed))
        ]
        return sorted(events, key=lambda pair: _time(pair[1]))

    def _recordings(self, where: str, bindings: dict[str, Any]) -> Iterator[Recording]:
        sql = (
            "SELECT session_id, max(distinct_id), min(nullif(first_ms, 0)), max(last_ms),"
            " sum(clicks), sum(keypresses), sum(console_errors), min(start_url), count(*),"
            " max(source)"
            f" FROM recording_pieces WHERE {where} GROUP BY session_id"
            " ORDER BY 4 DESC LIMIT :limit"
        )
        for row in self._connection.execute(sql, bindings):
            yield Recording(
                session_id=row[0],
                distinct_id=row[1],
                first_ms=row[2] or 0,
                last_ms=row[3],
                clicks=row[4],
                keypresses=row[5],
                console_errors=row[6],
                start_url=row[7],
                pieces=row[8],
                source=row[9],
            )


def _time(item: dict[str, Any]) -> float:
    value = item.get("timestamp")
    return float(value) if isinstance(value, int | float) and abs(value) < 1e15 else 0.0

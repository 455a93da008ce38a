"""How much is kept: old rows go, and the oldest when the file grows beyond its limit.

Owns what is dropped and in which order; persons, groups, issues and flags stay. Drops few rows a
transaction, so that ingestion goes on. Invariant: whatever was dropped is counted in an ingestion
warning of the same transaction, and the newest event is never dropped, as its number goes on.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw
import msgspec

from posthog_local.store import shelves
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job

DAY_US = 86_400 * 1_000_000
# More than this and the clock was set, not corrected.
_MAX_DRIFT_S = 3600.0
# Few enough for a transaction of some ten milliseconds.
_ROWS_PER_STEP = 500
_PIECES_PER_STEP = 20
# Room is made beyond the limit, so that the next event does not start the sweep again.
_FULL, _ROOMY = 1.0, 0.9


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be kept; None knows no limit. Bytes are those that rows and indexes fill."""

    keep_days: float | None = None
    max_bytes: int | None = None


def believed(limits: Limits, drift_s: float) -> Limits:
    """The limits that hold when the clock moved `drift_s` away from the time that really passed.

    A clock that was set forward makes everything look old: then nothing is dropped for its age.

    >>> believed(Limits(keep_days=90, max_bytes=5), 86_400 * 365).keep_days is None
    True
    """
    if abs(drift_s) <= _MAX_DRIFT_S:
        return limits
    return Limits(keep_days=None, max_bytes=limits.max_bytes)


class _Shelf(NamedTuple):
    """A table that is swept: its key, when a row came, and how many go at once."""

    name: str
    table: str
    key: str
    at_us: str
    rows: int
    spared: str


_SHELVES = (
    _Shelf(
        *("events", "events", "seq", "received_us", _ROWS_PER_STEP),
        "seq < (SELECT max(seq) FROM events)",
    ),
    _Shelf("logs", "logs", "seq", "observed_us", _ROWS_PER_STEP, "true"),
    _Shelf(
        *("recording_pieces", "recording_pieces", "rowid", "received_us", _PIECES_PER_STEP),
        "true",
    ),
)


def sweep_step(limits: Limits, now_us: int) -> Job[int]:
    """A job that drops one portion of what is too much, and says how many rows that were."""

    def job(transaction: Transaction) -> int:
        connection = transaction.connection
        dropped = {} if limits.keep_days is None else _drop_old(connection, limits, now_us)
        if not dropped and limits.max_bytes is not None:
            dropped = _drop_oldest(connection, limits.max_bytes)
        if dropped:
            _note(connection, limits, dropped, now_us)
        return sum(dropped.values())

    return job


def used_bytes(connection: apsw.Connection) -> int:
    """The bytes of the file that hold something."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return pages * int(connection.pragma("page_size"))


def _drop_old(connection: apsw.Connection, limits: Limits, now_us: int) -> dict[str, int]:
    assert limits.keep_days is not None
    before = now_us - int(limits.keep_days * DAY_US)
    found = {shelf.name: _drop(connection, shelf, before) for shelf in _SHELVES}
    return {name: count for name, count in found.items() if count}


def _drop_oldest(connection: apsw.Connection, max_bytes: int) -> dict[str, int]:
    """One portion of the shelf that holds the oldest row, while the file is too full."""
    used = used_bytes(connection)
    making_room = connection.execute("SELECT making_room FROM meta").get
    if used <= max_bytes * (_ROOMY if making_room else _FULL):
        connection.execute("UPDATE meta SET making_room = 0 WHERE making_room")
        return {}
    connection.execute("UPDATE meta SET making_room = 1 WHERE NOT making_room")
    by_age = [(age, shelf) for shelf in _SHELVES if (age := _oldest(connection, shelf)) is not None]
    if not by_age:
        return {}
    shelf = min(by_age)[1]
    return {shelf.name: _drop(connection, shelf, None)}


def _oldest(connection: apsw.Connection, shelf: _Shelf) -> int | None:
    found = connection.execute(
        f"SELECT {shelf.at_us} FROM {shelf.table} WHERE {shelf.spared} ORDER BY {shelf.key} LIMIT 1"
    ).get
    return None if found is None else int(found)


def _drop(connection: apsw.Connection, shelf: _Shelf, before_us: int | None) -> int:
    """Drops the first rows to have come, at most one portion."""
    first = (
        f"SELECT {shelf.key} AS number, {shelf.at_us} AS at_us FROM {shelf.table}"
        f" WHERE {shelf.spared} ORDER BY {shelf.key} LIMIT {shelf.rows}"
    )
    old = "" if before_us is None else f" WHERE at_us < {before_us}"
    numbers = [n for (n,) in connection.execute(f"SELECT number FROM ({first}){old}")]
    for table in ("issue_events", "trace_events") if shelf.name == "events" else ():
        connection.executemany(f"DELETE FROM {table} WHERE seq = ?", [(n,) for n in numbers])
    connection.executemany(
        f"DELETE FROM {shelf.table} WHERE {shelf.key} = ?",
        [(n,) for n in numbers],
    )
    return len(numbers)


def _note(
    connection: apsw.Connection, limits: Limits, dropped: dict[str, int], now_us: int
) -> None:
    """Counts what was dropped in the day's warning, and keeps the warnings themselves few."""
    row = connection.execute(
        "SELECT seq, details FROM warnings WHERE kind = 'dropped_by_retention' AND at_us > ?"
        " ORDER BY seq DESC LIMIT 1",
        (now_us - DAY_US,),
    ).fetchone()
    earlier = {} if row is None else msgspec.json.decode(row[1], type=dict[str, float | None])
    counts = {s.name: int(earlier.get(s.name) or 0) + dropped.get(s.name, 0) for s in _SHELVES}
    details = {**counts, "keep_days": limits.keep_days, "max_bytes": limits.max_bytes}
    if row is not None:
        connection.execute("DELETE FROM warnings WHERE seq = ?", (row[0],))
    connection.execute(
        "INSERT INTO warnings (seq, at_us, kind, details) VALUES"
        " ((SELECT 1 + max(?, coalesce(max(seq), 0)) FROM warnings), ?, 'dropped_by_retention', ?)",
        (0 if row is None else row[0], now_us, msgspec.json.encode(details).decode()),
    )
    shelves.warnings.trim(connection)

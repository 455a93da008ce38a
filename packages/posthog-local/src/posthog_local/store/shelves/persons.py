"""Persons and groups in lists: searched, counted, and deleted.

Owns these statements; single persons on the hot path are the reader's and the transaction's.
Deleting makes a new epoch, so that copies of the data are made again without what was deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import msgspec

from posthog_local.store.pattern import containing
from posthog_local.store.reader import StoredPerson
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class PersonFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which persons; `search` is any part of an id or of the properties, in any case."""

    distinct_id: str | None = None
    email: str | None = None
    search: str | None = None
    limit: int = 100
    offset: int = 0


class PersonList:
    """Lists of persons and groups as of one commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def find(self, wanted: PersonFilter) -> list[StoredPerson]:
        """The newest that match first."""
        where, values = _where(wanted)
        rows = self._connection.execute(
            "SELECT id, properties, created_at_us, is_identified FROM persons"
            f" WHERE {where} ORDER BY created_at_us DESC, id LIMIT :limit OFFSET :offset",
            {**values, "limit": wanted.limit, "offset": wanted.offset},
        ).fetchall()
        return [self._person(row) for row in rows]

    def newest(self, limit: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """A distinct id and the properties of each of the newest persons."""
        rows = self._connection.execute(
            "SELECT (SELECT min(distinct_id) FROM person_distinct_ids WHERE person_id = id),"
            " properties FROM persons ORDER BY created_at_us DESC, id LIMIT ?",
            (limit,),
        )
        for distinct_id, text in rows:
            yield distinct_id or "", _decode(text)

    def count(self, wanted: PersonFilter) -> int:
        """How many match."""
        where, values = _where(wanted)
        sql = f"SELECT count(*) FROM persons WHERE {where}"
        return int(self._connection.execute(sql, values).get or 0)

    def by_id(self, person_id: str) -> StoredPerson | None:
        """The person with this uuid."""
        row = self._connection.execute(
            "SELECT id, properties, created_at_us, is_identified FROM persons WHERE id = ?",
            (person_id,),
        ).fetchone()
        return None if row is None else self._person(row)

    def last_seen_us(self, distinct_ids: Sequence[str]) -> int | None:
        """When somebody with these ids did something last."""
        found: int | None = self._connection.execute(
            "SELECT max(at) FROM (SELECT (SELECT max(timestamp_us) FROM events"
            " WHERE distinct_id = value) AS at FROM json_each(?))",
            (msgspec.json.encode(distinct_ids).decode(),),
        ).get
        return found

    def groups(self, index: int, limit: int, offset: int) -> list[tuple[str, dict[str, Any], int]]:
        """Groups of one type: key, properties, when they came."""
        rows = self._connection.execute(
            "SELECT key, properties, created_at_us FROM groups WHERE type_index = ?"
            " ORDER BY key LIMIT ? OFFSET ?",
            (index, limit, offset),
        )
        return [(key, msgspec.json.decode(text), at_us) for key, text, at_us in rows]

    def group_count(self, index: int) -> int:
        """How many groups of one type there are."""
        sql = "SELECT count(*) FROM groups WHERE type_index = ?"
        return int(self._connection.execute(sql, (index,)).get or 0)

    def group(self, index: int, key: str) -> tuple[str, dict[str, Any], int] | None:
        """One group."""
        row = self._connection.execute(
            "SELECT key, properties, created_at_us FROM groups WHERE type_index = ? AND key = ?",
            (index, key),
        ).fetchone()
        return None if row is None else (row[0], msgspec.json.decode(row[1]), row[2])

    def _person(self, row: tuple[Any, ...]) -> StoredPerson:
        ids = self._connection.execute(
            "SELECT distinct_id FROM person_distinct_ids WHERE person_id = ? ORDER BY 1", (row[0],)
        )
        return StoredPerson(
            id=row[0],
            distinct_ids=tuple(distinct_id for (distinct_id,) in ids),
            properties=msgspec.json.decode(row[1]),
            created_at_us=row[2],
            is_identified=bool(row[3]),
        )


def delete(person_id: str, *, with_events: bool) -> Job[bool]:
    """A job that deletes a person, with their events if asked; false when there is none."""

    def job(transaction: Transaction) -> bool:
        transaction.flush()
        connection = transaction.connection
        ids = [
            one
            for (one,) in connection.execute(
                "SELECT distinct_id FROM person_distinct_ids WHERE person_id = ?", (person_id,)
            )
        ]
        connection.execute("DELETE FROM persons WHERE id = ?", (person_id,))
        if connection.changes() == 0:
            return False
        for table in ("person_distinct_ids", "flag_hash_keys"):
            connection.execute(f"DELETE FROM {table} WHERE person_id = ?", (person_id,))
        for distinct_id in ids if with_events else ():
            _delete_events(connection, distinct_id)
        transaction.after_deletion()
        return True

    return job


def _delete_events(connection: apsw.Connection, distinct_id: str) -> None:
    for table in ("issue_events", "trace_events"):
        connection.execute(
            f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM events WHERE distinct_id = ?)",
            (distinct_id,),
        )
    for table in ("events", "logs", "recording_pieces"):
        connection.execute(f"DELETE FROM {table} WHERE distinct_id = ?", (distinct_id,))


def _where(wanted: PersonFilter) -> tuple[str, dict[str, Any]]:
    conditions: dict[str, tuple[str | None, str]] = {
        "distinct_id": (
            wanted.distinct_id,
            "id = (SELECT person_id FROM person_distinct_ids WHERE distinct_id = :distinct_id)",
        ),
        "email": (wanted.email, "json_extract(properties, '$.email') = :email"),
        "search": (
            None if wanted.search is None else containing(wanted.search),
            "(properties LIKE :search ESCAPE '\\' OR id IN (SELECT person_id"
            " FROM person_distinct_ids WHERE distinct_id LIKE :search ESCAPE '\\'))",
        ),
    }
    given = {name: pair for name, pair in conditions.items() if pair[0] is not None}
    where = " AND ".join(["true", *(condition for _, condition in given.values())])
    return where, {name: value for name, (value, _) in given.items()}

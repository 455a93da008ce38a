"""What one write transaction has at hand: the connection, who is who, and the next numbers.

Owns the SQL statements that write persons and groups as events come in. Lives on the writer's
thread; nothing here commits. Invariant: numbers go on, also after everything was deleted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from posthog_local.persons.groups import Groups
from posthog_local.persons.people import People, Person
from posthog_local.store import schema

_encode = msgspec.json.Encoder().encode


class Transaction:
    """The writer's hands. One object lives as long as the writer and serves every transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._start()

    def next_seq(self) -> int:
        """The number of the next event."""
        return next(self._seq)

    def flush(self) -> None:
        """Writes what is still in memory; the writer calls it before every commit."""
        self.people.flush()

    def forget(self) -> None:
        """Drops memory that may be ahead of the file, after a rollback or a reset."""
        self.people.forget()
        self.groups.forget()

    def reset(self, *, keep_flags: bool) -> None:
        """Empties the project. Sequence numbers go on, so that a follower never sees one twice."""
        tables = [*schema.DATA_TABLES, *(() if keep_flags else schema.FLAG_TABLES)]
        for table in tables:
            self.connection.execute(f"DELETE FROM {table}")
        self.connection.execute("UPDATE meta SET epoch = hex(randomblob(16)), making_room = 0")
        self.forget()

    def start_anew(self) -> None:
        """Goes on from rows that came without this object, as an import brings them."""
        self.connection.execute("UPDATE meta SET epoch = hex(randomblob(16))")
        self._start()

    def after_deletion(self) -> None:
        """Makes a new epoch, so that copies are made again; numbers go on all the same."""
        self.connection.execute("UPDATE meta SET epoch = hex(randomblob(16))")
        self.forget()

    def _start(self) -> None:
        """Numbers go on after the highest there are."""
        versions = itertools.count(last_version(self.connection) + 1)
        self.people = People(_PersonShelf(self.connection, versions))
        self.groups = Groups(_GroupShelf(self.connection, versions))
        self._seq = _numbers(self.connection)


class _PersonShelf:
    def __init__(self, connection: apsw.Connection, versions: Iterator[int]) -> None:
        self._connection = connection
        self._versions = versions

    def find(self, distinct_id: str) -> Person | None:
        row = self._connection.execute(
            "SELECT id, properties, created_at_us, is_identified FROM person_distinct_ids"
            " JOIN persons ON id = person_id WHERE distinct_id = ?",
            (distinct_id,),
        ).fetchone()
        if row is None:
            return None
        return Person(
            id=row[0],
            properties=msgspec.json.decode(row[1]),
            created_at_us=row[2],
            is_identified=bool(row[3]),
        )

    def link(self, distinct_id: str, person_id: str) -> None:
        self._connection.execute(
            "INSERT INTO person_distinct_ids (distinct_id, person_id, version) VALUES (?,?,?)",
            (distinct_id, person_id, next(self._versions)),
        )

    def move_links(self, from_person_id: str, to_person_id: str) -> None:
        self._connection.execute(
            "UPDATE person_distinct_ids SET person_id = ?, version = ? WHERE person_id = ?",
            (to_person_id, next(self._versions), from_person_id),
        )
        # What the surviving person has been shown stays; the rest comes along.
        self._connection.execute(
            "UPDATE OR IGNORE flag_hash_keys SET person_id = ? WHERE person_id = ?",
            (to_person_id, from_person_id),
        )
        self._connection.execute(
            "DELETE FROM flag_hash_keys WHERE person_id = ?", (from_person_id,)
        )

    def save(self, person: Person) -> None:
        self._connection.execute(
            "INSERT INTO persons (id, properties, created_at_us, is_identified, version)"
            " VALUES (?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET properties = excluded.properties,"
            " created_at_us = excluded.created_at_us, is_identified = excluded.is_identified,"
            " version = excluded.version",
            (
                person.id,
                _encode(person.properties).decode(),
                person.created_at_us,
                int(person.is_identified),
                next(self._versions),
            ),
        )

    def delete(self, person_id: str) -> None:
        self._connection.execute("DELETE FROM persons WHERE id = ?", (person_id,))


class _GroupShelf:
    def __init__(self, connection: apsw.Connection, versions: Iterator[int]) -> None:
        self._connection = connection
        self._versions = versions

    def group_types(self) -> dict[str, int]:
        return dict(self._connection.execute("SELECT name, type_index FROM group_types"))

    def add_group_type(self, name: str, index: int) -> None:
        self._connection.execute("INSERT INTO group_types VALUES (?,?)", (name, index))

    def group(self, index: int, key: str) -> dict[str, Any] | None:
        text = self._connection.execute(
            "SELECT properties FROM groups WHERE type_index = ? AND key = ?", (index, key)
        ).get
        return None if text is None else msgspec.json.decode(text, type=dict[str, Any])

    def save_group(
        self, index: int, key: str, properties: dict[str, Any], created_at_us: int
    ) -> None:
        self._connection.execute(
            "INSERT INTO groups (type_index, key, properties, created_at_us, version)"
            " VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET properties = excluded.properties,"
            " version = excluded.version",
            (index, key, _encode(properties).decode(), created_at_us, next(self._versions)),
        )


def _numbers(connection: apsw.Connection) -> Iterator[int]:
    return itertools.count((connection.execute("SELECT max(seq) FROM events").get or 0) + 1)


def last_version(connection: apsw.Connection) -> int:
    """The highest version of a person, a link or a group."""
    sql = (
        "SELECT max(coalesce((SELECT max(version) FROM persons), 0),"
        " coalesce((SELECT max(version) FROM person_distinct_ids), 0),"
        " coalesce((SELECT max(version) FROM groups), 0))"
    )
    return int(connection.execute(sql).get or 0)

"""Flags in the store, and cohorts with them: saving, deleting, replacing, loading.

Owns every SQL statement on them. Each change that alters a definition raises its version by one;
saving the same definition again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from posthog_local.flags.definition import complete
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job


class StoredFlag(msgspec.Struct, frozen=True, kw_only=True):
    """A flag's full definition with when it was made and changed."""

    definition: dict[str, Any]
    created_at_us: int
    updated_at_us: int


class StaleVersion(Exception):
    """The flag was changed since the caller saw it; nothing was changed now."""


def load(connection: apsw.Connection) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Every flag in the order of its id, and every cohort by number."""
    flags = [
        msgspec.json.decode(text)
        for (text,) in connection.execute("SELECT definition FROM flags ORDER BY id")
    ]
    rows = connection.execute("SELECT id, definition FROM cohorts ORDER BY id")
    return flags, {number: msgspec.json.decode(text) for number, text in rows}


def stored(connection: apsw.Connection) -> list[StoredFlag]:
    """Every flag in the order of its id."""
    return list(_stored(connection, "true", ()))


def stored_one(connection: apsw.Connection, flag_id: int) -> StoredFlag | None:
    """The flag with this number."""
    return next(_stored(connection, "id = ?", (flag_id,)), None)


def save(given: dict[str, Any], now_us: int) -> Job[dict[str, Any]]:
    """A job that saves one flag and gives its full definition; may raise `InvalidDefinition`."""

    def job(transaction: Transaction) -> dict[str, Any]:
        return _save(transaction.connection, given, now_us)

    return job


def change(
    flag_id: int, changes: Mapping[str, Any], version: object, now_us: int
) -> Job[StoredFlag | None]:
    """A job that changes fields of a flag and gives it; None when there is no such flag.

    The job raises `StaleVersion` when `version` is given and older than the flag's.
    """

    def job(transaction: Transaction) -> StoredFlag | None:
        connection = transaction.connection
        known = stored_one(connection, flag_id)
        if known is None:
            return None
        current = known.definition["version"]
        if isinstance(version, int) and version < current:
            raise StaleVersion(f"the flag is at version {current}, not {version}; read it again")
        _update(connection, flag_id, current, {**known.definition, **changes}, now_us)
        return stored_one(connection, flag_id)

    return job


def delete(key: str) -> Job[bool]:
    """A job that deletes one flag and says whether it was there."""

    def job(transaction: Transaction) -> bool:
        transaction.connection.execute("DELETE FROM flags WHERE key = ?", (key,))
        return transaction.connection.changes() > 0

    return job


def replace_all(
    flags: Sequence[dict[str, Any]], cohorts: Mapping[str, dict[str, Any]], now_us: int
) -> Job[None]:
    """A job that makes these the only flags and cohorts; nothing changes if one is invalid."""

    def job(transaction: Transaction) -> None:
        connection = transaction.connection
        keys = {flag.get("key") for flag in flags}
        for (key,) in connection.execute("SELECT key FROM flags").fetchall():
            if key not in keys:
                connection.execute("DELETE FROM flags WHERE key = ?", (key,))
        for flag in flags:
            _save(connection, flag, now_us)
        connection.execute("DELETE FROM cohorts")
        for number, cohort in cohorts.items():
            text = msgspec.json.encode(cohort).decode()
            connection.execute("INSERT INTO cohorts VALUES (?,?)", (int(number), text))

    return job


def keep_hash_keys(distinct_id: str, hash_keys: Mapping[str, str]) -> Job[None]:
    """A job that notes what to bucket a person by; nothing while nobody has this distinct id."""

    def job(transaction: Transaction) -> None:
        transaction.flush()
        transaction.connection.executemany(
            "INSERT INTO flag_hash_keys (person_id, flag_key, hash_key)"
            " SELECT person_id, ?, ? FROM person_distinct_ids WHERE distinct_id = ?"
            " ON CONFLICT DO NOTHING",
            [(flag_key, hash_key, distinct_id) for flag_key, hash_key in hash_keys.items()],
        )

    return job


def hash_keys(connection: apsw.Connection, distinct_ids: Sequence[str]) -> dict[str, str]:
    """Flag key to what to bucket by, for the persons with these ids; the first id's person wins."""
    found: dict[str, str] = {}
    for distinct_id in distinct_ids:
        rows = connection.execute(
            "SELECT flag_key, hash_key FROM flag_hash_keys JOIN person_distinct_ids"
            " USING (person_id) WHERE distinct_id = ?",
            (distinct_id,),
        )
        for flag_key, hash_key in rows:
            found.setdefault(flag_key, hash_key)
    return found


def _save(connection: apsw.Connection, given: dict[str, Any], now_us: int) -> dict[str, Any]:
    known = connection.execute(
        "SELECT id, version FROM flags WHERE key = ?", (str(given.get("key")),)
    ).fetchone()
    if known is None:
        return _insert(connection, given, now_us)
    flag_id, version = known
    return _update(connection, flag_id, version, given, now_us)


def _update(
    connection: apsw.Connection, flag_id: int, version: int, given: dict[str, Any], now_us: int
) -> dict[str, Any]:
    text = connection.execute("SELECT definition FROM flags WHERE id = ?", (flag_id,)).get
    same = complete(given, flag_id=flag_id, version=version)
    if same == msgspec.json.decode(text):
        return same
    flag = complete(given, flag_id=flag_id, version=version + 1)
    connection.execute(
        "UPDATE flags SET key = ?, version = ?, definition = ?, updated_at_us = ? WHERE id = ?",
        (flag["key"], flag["version"], msgspec.json.encode(flag).decode(), now_us, flag_id),
    )
    return flag


def _stored(
    connection: apsw.Connection, where: str, values: tuple[int, ...]
) -> Iterator[StoredFlag]:
    sql = f"SELECT definition, created_at_us, updated_at_us FROM flags WHERE {where} ORDER BY id"
    for text, created_at_us, updated_at_us in connection.execute(sql, values):
        yield StoredFlag(
            definition=msgspec.json.decode(text),
            created_at_us=created_at_us,
            updated_at_us=updated_at_us,
        )


def _insert(connection: apsw.Connection, given: dict[str, Any], now_us: int) -> dict[str, Any]:
    wanted = given.get("id")
    taken = connection.execute("SELECT 1 FROM flags WHERE id = ?", (wanted,)).get
    flag_id = wanted if isinstance(wanted, int) and not taken else _next_id(connection)
    flag = complete(given, flag_id=flag_id, version=1)
    connection.execute(
        "INSERT INTO flags (id, key, version, definition, created_at_us, updated_at_us)"
        " VALUES (?,?,?,?,?,?)",
        (flag_id, flag["key"], 1, msgspec.json.encode(flag).decode(), now_us, now_us),
    )
    return flag


def _next_id(connection: apsw.Connection) -> int:
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'flags'").get
    return int(last or 0) + 1

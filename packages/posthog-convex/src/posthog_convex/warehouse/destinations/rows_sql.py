"""The SQL of a plan's actions, in DuckDB's words.

Owns the statements and the types that columns have in DuckDB. Never runs one. Invariant: a reshaped
column holds the values that it held, in the words of `export_json` where it becomes JSON.
"""

from __future__ import annotations

from collections.abc import Iterator

from posthog_convex.warehouse.documents.columns import Column, Kind, Schema
from posthog_convex.warehouse.plan.actions import (
    Action,
    Append,
    Create,
    Discard,
    Hide,
    Merge,
    Rename,
    Reshape,
    Settle,
    Show,
    Succeed,
)
from posthog_convex.warehouse.plan.progress import Mode, Table

#: Where rows and progress are; readers look into the schema `main`.
HOME = "convex_sync"
TYPES = {
    Kind.VOID: "VARCHAR",
    Kind.BOOL: "BOOLEAN",
    Kind.INT: "BIGINT",
    Kind.FLOAT: "DOUBLE",
    Kind.TEXT: "VARCHAR",
    Kind.BYTES: "BLOB",
    Kind.JSON: "JSON",
}
_SYSTEM = (
    '_id VARCHAR, "_creationTime" TIMESTAMPTZ, "_creationTime_ms" DOUBLE, _ts BIGINT,'
    " _deleted BOOLEAN, _null_fields VARCHAR"
)
_LATEST = "QUALIFY row_number() OVER (PARTITION BY _id ORDER BY _ts DESC) = 1"
#: What `Append` reads from: the batch, registered under this name.
BATCH = "convex_batch"
_NOT_A_NUMBER, _INFINITY, _MINUS_INFINITY = "AAAAAAAA+H8=", "AAAAAAAA8H8=", "AAAAAAAA8P8="


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def place(rows: str) -> str:
    return f"{HOME}.{quoted(rows)}"


def statements(action: Action, mode: Mode) -> Iterator[str]:
    """What to run for one action, in order."""
    match action:
        case Discard(rows):
            yield f"DROP TABLE IF EXISTS {place(rows)}"
        case Create(rows, schema):
            columns = "".join(
                f", {quoted(column.name)} {TYPES[column.kind]}" for column in schema.columns
            )
            yield f"CREATE OR REPLACE TABLE {place(rows)} ({_SYSTEM}{columns})"
        case Reshape(rows, before, after):
            yield from _reshape(rows, before, after)
        case Append(rows):
            yield f"INSERT INTO {place(rows)} BY NAME SELECT * FROM {BATCH}"
        case Settle(rows):
            yield from _settle(rows, mode)
        case Merge(rows, changes):
            yield from _merge(rows, changes, mode)
        case Succeed(rows, previous, ts):
            yield from _succeed(rows, previous, ts, mode)
        case Show(name, rows, schema):
            yield f"CREATE OR REPLACE VIEW {quoted(name)} AS {shown(rows, schema, mode)}"
        case Hide(name):
            yield f"DROP VIEW IF EXISTS {quoted(name)}"
        case Rename(rows, to):
            yield f"ALTER TABLE {place(rows)} RENAME TO {quoted(to)}"


def as_text(table: Table) -> str:
    """What readers see of a table, with JSON as text, which readers of files know."""
    assert table.live is not None
    json = [quoted(c.name) for c in table.live.schema.columns if c.kind is Kind.JSON]
    texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in json)
    columns = f"* REPLACE ({texts})" if texts else "*"
    return f"SELECT {columns} FROM {quoted(table.name)}"


def changed_and_gone(table: Table, since: int) -> str:
    """What readers see of the documents that changed after a timestamp; and, marked `_gone`, the
    ids of the registered batch that readers see no more."""
    seen = f"({as_text(table)})"
    return (
        f"SELECT *, false AS _gone FROM {seen}"
        f" WHERE _id IN (SELECT _id FROM {quoted(table.name)} WHERE _ts > {since})"
        f" UNION ALL BY NAME SELECT DISTINCT _id, true AS _gone FROM {BATCH}"
        f" WHERE _id NOT IN (SELECT _id FROM {quoted(table.name)})"
    )


def weight_of_changes(table: Table, since: int) -> str:
    """How many bytes of text and bytes are in what readers see of the documents that changed after
    a timestamp, and how many rows these are."""
    assert table.live is not None
    lengths = "".join(
        f" + coalesce({'octet_length' if c.kind is Kind.BYTES else 'strlen'}({quoted(c.name)}), 0)"
        for c in table.live.schema.columns
        if c.kind in (Kind.TEXT, Kind.JSON, Kind.BYTES)
    )
    return (
        f"SELECT coalesce(sum(0{lengths}), 0)::BIGINT, count(*) FROM ({as_text(table)})"
        f" WHERE _id IN (SELECT _id FROM {quoted(table.name)} WHERE _ts > {since})"
    )


def shown(rows: str, schema: Schema, mode: Mode) -> str:
    """The query that readers see of a place."""
    columns = ["_id", '"_creationTime"', '"_creationTime_ms"', "_ts"]
    if mode is Mode.HISTORY:
        columns.append("lead(_ts) OVER (PARTITION BY _id ORDER BY _ts) AS _valid_to")
    if mode is not Mode.HARD:
        columns.append("_deleted")
    columns += [quoted(column.name) for column in schema.columns]
    if schema.has_nulls:
        columns.append("_null_fields")
    return f"SELECT {', '.join(columns)} FROM {place(rows)}"


def _reshape(rows: str, before: Schema, after: Schema) -> Iterator[str]:
    old = {column.name: column for column in before.columns}
    for column in after.columns:
        known = old.get(column.name)
        name, type_ = quoted(column.name), TYPES[column.kind]
        if known is None:
            yield f"ALTER TABLE {place(rows)} ADD COLUMN {name} {type_}"
        elif known.kind is not column.kind:
            using = _converted(known, column.kind)
            yield f"ALTER TABLE {place(rows)} ALTER {name} SET DATA TYPE {type_} USING {using}"


def _converted(column: Column, kind: Kind) -> str:
    name = quoted(column.name)
    if column.kind is Kind.VOID:
        return f"NULL::{TYPES[kind]}"
    if kind is Kind.FLOAT:
        return f"{name}::DOUBLE"
    return f"({_json_text(name, column.kind)})::JSON"


def _json_text(name: str, kind: Kind) -> str:
    match kind:
        case Kind.FLOAT:
            return (
                f'CASE WHEN isnan({name}) THEN \'{{"$float":"{_NOT_A_NUMBER}"}}\''
                f' WHEN isinf({name}) AND {name} > 0 THEN \'{{"$float":"{_INFINITY}"}}\''
                f' WHEN isinf({name}) THEN \'{{"$float":"{_MINUS_INFINITY}"}}\''
                f" ELSE {name}::VARCHAR END"
            )
        case Kind.TEXT:
            return f"to_json({name})::VARCHAR"
        case Kind.BYTES:
            return f"'{{\"$bytes\":\"' || base64({name}) || '\"}}'"
        case _:
            return f"{name}::VARCHAR"


def _settle(rows: str, mode: Mode) -> Iterator[str]:
    if mode is Mode.HISTORY:
        return
    # Few documents come twice or are deleted while a table is filled: only those are sorted.
    yield (
        f"DELETE FROM {place(rows)} WHERE rowid IN (SELECT rowid FROM (SELECT rowid, _deleted,"
        f" row_number() OVER (PARTITION BY _id ORDER BY _ts DESC) AS age FROM {place(rows)}"
        f" WHERE _id IN (SELECT _id FROM {place(rows)} GROUP BY _id"
        " HAVING count(*) > 1 OR bool_or(_deleted))) WHERE age > 1 OR _deleted)"
    )


def _merge(rows: str, changes: str, mode: Mode) -> Iterator[str]:
    live, new = place(rows), place(changes)
    if mode is Mode.HISTORY:
        yield (
            f"INSERT INTO {live} BY NAME SELECT * FROM {new} c WHERE NOT EXISTS"
            f" (SELECT 1 FROM {live} l WHERE l._id = c._id AND l._ts = c._ts)"
            f" AND (NOT _deleted OR _id IN (SELECT _id FROM {live})"
            f" OR _id IN (SELECT _id FROM {new} WHERE NOT _deleted))"
        )
        return
    yield f"CREATE OR REPLACE TEMP TABLE convex_latest AS SELECT * FROM {new} {_LATEST}"
    if mode is Mode.SOFT:
        yield (
            f"UPDATE {live} SET _deleted = true, _ts = c._ts FROM convex_latest c"
            f" WHERE {live}._id = c._id AND c._deleted"
        )
        yield (
            f"DELETE FROM {live} WHERE _id IN (SELECT _id FROM convex_latest WHERE NOT _deleted)"
        )
    else:
        yield f"DELETE FROM {live} WHERE _id IN (SELECT _id FROM convex_latest)"
    yield f"INSERT INTO {live} BY NAME SELECT * FROM convex_latest WHERE NOT _deleted"


def _succeed(rows: str, previous: str, ts: int, mode: Mode) -> Iterator[str]:
    new, old = place(rows), place(previous)
    if mode is Mode.SOFT:
        yield (
            f"INSERT INTO {new} BY NAME SELECT * REPLACE (true AS _deleted,"
            f" CASE WHEN _deleted THEN _ts ELSE {ts} END AS _ts) FROM {old}"
            f" WHERE _id NOT IN (SELECT _id FROM {new})"
        )
    if mode is Mode.HISTORY:
        yield (
            f"CREATE OR REPLACE TEMP TABLE convex_latest AS SELECT _id, {ts}::BIGINT AS _ts,"
            f" true AS _deleted FROM (SELECT * FROM {old} {_LATEST})"
            f" WHERE NOT _deleted AND _id NOT IN (SELECT _id FROM {new})"
        )
        yield (
            f"INSERT INTO {new} BY NAME SELECT * FROM {old} o WHERE NOT EXISTS"
            f" (SELECT 1 FROM {new} n WHERE n._id = o._id AND n._ts = o._ts)"
        )
        yield f"INSERT INTO {new} BY NAME SELECT * FROM convex_latest"

"""Documents become Arrow columns: one generated struct a schema, decoded in one call a page.

Owns the fast way from JSON text to Arrow and when a schema has to widen for it. Never guesses: a
value that does not fit its column exactly is an error here, and the schema learns from it.
Invariant: a decoded batch holds every field of every document, in the type that its schema says.
"""

from __future__ import annotations

import functools
import operator
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from posthog_convex.warehouse.documents.columns import EXACT_IN_FLOAT, Column, Kind, Schema
from posthog_convex.warehouse.documents.learning import learned
from posthog_convex.warehouse.refusal import corrupt

if TYPE_CHECKING:
    import pyarrow

_MICROSECONDS_PER_MS = 1000.0
_SAMPLE = 100


class Revisions(NamedTuple):
    """Revisions of one table's documents, column by column, as they came."""

    ts: list[int]
    deleted: list[bool]
    documents: list[msgspec.Raw]


class _Bytes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    value: bytes = msgspec.field(name="$bytes")


class _Special(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    value: bytes = msgspec.field(name="$float")


def decode(revisions: Revisions, schema: Schema) -> tuple[pyarrow.Table, Schema]:
    """The revisions as an Arrow table, and the schema, wider where these documents needed it.

    The columns are `_id`, `_creationTime`, `_creationTime_ms`, `_ts`, `_deleted`, `_null_fields`,
    then the schema's, by their destination names. Raises SyncRefused for what no Convex document
    can be.
    """
    # A few documents mostly tell what all of them hold; looking at all of them is slow.
    for looked_at in (revisions.documents[:_SAMPLE], revisions.documents):
        try:
            return _decoded(revisions, schema)
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, ValueError):
            schema = learned(schema, looked_at)
    try:
        return _decoded(revisions, schema)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, ValueError) as error:
        raise corrupt(f"a document is none of Convex's ({error})") from None


def _decoded(revisions: Revisions, schema: Schema) -> tuple[pyarrow.Table, Schema]:
    import pyarrow as pa

    rows = _decoder(schema).decode(b"[" + b",".join(revisions.documents) + b"]")
    if len(rows) != len(revisions.documents):
        raise ValueError("documents run into each other")
    arrays: dict[str, Any] = {
        "_id": pa.array([row.id for row in rows], pa.string()),
        **_times([row.created for row in rows]),
        "_ts": pa.array(revisions.ts, pa.int64()),
        "_deleted": pa.array(revisions.deleted, pa.bool_()),
        "_null_fields": _null_fields(rows, schema),
    }
    wide: list[Column] = []
    for number, column in enumerate(schema.columns):
        array = _array(list(map(operator.attrgetter(f"c{number}"), rows)), column)
        arrays[column.name] = array
        if column.kind is Kind.INT and not column.wide and _is_wide(array):
            wide.append(msgspec.structs.replace(column, wide=True))
    return pa.table(arrays), schema.widened(wide) if wide else schema


@functools.lru_cache(maxsize=512)
def _decoder(schema: Schema) -> msgspec.json.Decoder[list[Any]]:
    fields: list[Any] = [
        ("id", str, msgspec.field(name="_id")),
        ("created", float | int | None, msgspec.field(name="_creationTime", default=None)),
    ]
    for number, column in enumerate(schema.columns):
        fields.append(
            (
                f"c{number}",
                _hint(column),
                msgspec.field(name=column.field, default=_default(column)),
            )
        )
    shape = msgspec.defstruct("Document", fields, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(list[shape])  # type: ignore[valid-type]  # made at run time


def _hint(column: Column) -> Any:
    hint: Any = {
        Kind.VOID: None,
        Kind.BOOL: bool,
        Kind.INT: int,
        # An int64 may stand in a float64 column, but msgspec would round it without a word.
        Kind.FLOAT: int | float | _Special if column.special else int | float,
        Kind.TEXT: str,
        Kind.BYTES: _Bytes,
        Kind.JSON: msgspec.Raw,
    }[column.kind]
    if column.kind is Kind.JSON:
        return hint
    if column.nulls:
        return hint | None | msgspec.UnsetType if hint is not None else None | msgspec.UnsetType
    return hint


def _default(column: Column) -> Any:
    return msgspec.UNSET if column.nulls and column.kind is not Kind.JSON else None


def _array(values: list[Any], column: Column) -> Any:
    import pyarrow as pa

    if column.nulls and column.kind is not Kind.JSON:
        values = [None if value is msgspec.UNSET else value for value in values]
    match column.kind:
        case Kind.VOID:
            return pa.nulls(len(values), pa.string())
        case Kind.BOOL:
            return pa.array(values, pa.bool_())
        case Kind.INT:
            return pa.array(values, pa.int64())
        case Kind.FLOAT:
            if column.special:
                values = [_number(value) for value in values]
            return pa.array(values, pa.float64())
        case Kind.TEXT:
            return pa.array(values, pa.string())
        case Kind.BYTES:
            return pa.array([None if v is None else v.value for v in values], pa.binary())
        case Kind.JSON:
            return pa.array([None if v is None else bytes(v) for v in values], pa.string())


def _number(value: Any) -> Any:
    if not isinstance(value, _Special):
        return value
    if len(value.value) != 8:
        raise ValueError("a $float is not of eight bytes")
    return struct.unpack("<d", value.value)[0]


def _times(created: list[Any]) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    raw = pa.array(created, pa.float64())
    microseconds = pc.cast(pc.round(pc.multiply(raw, _MICROSECONDS_PER_MS)), pa.int64())
    return {
        "_creationTime": microseconds.cast(pa.timestamp("us", tz="UTC")),
        "_creationTime_ms": raw,
    }


def _null_fields(rows: Sequence[Any], schema: Schema) -> Any:
    """For each row the names of the fields that are null in it, as JSON; null where none is."""
    import pyarrow as pa

    nullable = [
        (f"c{number}", column.field)
        for number, column in enumerate(schema.columns)
        if column.nulls and column.kind is not Kind.JSON
    ]
    if not nullable:
        return pa.nulls(len(rows), pa.string())
    found = [[field for slot, field in nullable if getattr(row, slot) is None] for row in rows]
    return pa.array([msgspec.json.encode(fields).decode() if fields else None for fields in found])


def _is_wide(array: Any) -> bool:
    import pyarrow.compute as pc

    ends = pc.min_max(array).as_py()
    low, high = ends["min"], ends["max"]
    return low is not None and (low < -EXACT_IN_FLOAT or high > EXACT_IN_FLOAT)

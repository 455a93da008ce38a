"""Which part of an index a query reads: equalities on a prefix, then bounds on the next field.

Owns Convex's rules for index ranges and their translation into key intervals. Never reads. One
invariant: the interval holds exactly the keys that satisfy every given comparison.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from pyconvex.database.errors import DatabaseError
from pyconvex.values import UNSET, order

_MORE = "For more information see https://docs.convex.dev/using/indexes."


class Bound(NamedTuple):
    """One end of a range on one field."""

    field: str
    value: object
    inclusive: bool


class Bounds(NamedTuple):
    """Comparisons on the fields of an index; `UNSET` as a value means "field missing".

    Equalities may come in any order, as long as together they are a prefix of the index.
    """

    equal: tuple[tuple[str, object], ...] = ()
    lower: Bound | None = None
    upper: Bound | None = None


EVERYTHING = Bounds()


def interval_of(index: str, fields: Sequence[str], bounds: Bounds) -> tuple[bytes, bytes | None]:
    """The half-open key interval of `bounds` in an index over `fields`; None is no upper end.

    Raises `DatabaseError` with Convex's texts when the comparisons do not fit the index.
    """
    equal = _ordered(index, fields, bounds)
    prefix = order.encode_key(equal)
    start, end = prefix, order.successor(prefix)
    if (lower := bounds.lower) is not None:
        key = prefix + order.encode_key([lower.value])
        start = key if lower.inclusive else _behind(key)
    if (upper := bounds.upper) is not None:
        key = prefix + order.encode_key([upper.value])
        end = _behind(key) if upper.inclusive else key
    return start, end


def _behind(key: bytes) -> bytes:
    """The first place behind every key that begins with this one."""
    place = order.successor(key)
    assert place is not None, "encoded values begin with small tags"
    return place


def _ordered(index: str, fields: Sequence[str], bounds: Bounds) -> list[object]:
    """The values of the equalities in the index's order, once all comparisons are found to fit."""
    values: dict[str, object] = {}
    for field, value in bounds.equal:
        if field in values:
            raise DatabaseError(
                "DuplicateEqualityBound", f"Already defined equality bound on {_quoted(field)}."
            )
        values[field] = value
    ranged = _ranged_field(index, bounds)
    for field in (*values, *((ranged,) if ranged is not None else ())):
        if field not in fields:
            raise _not_indexed(index, fields, field)
    places = sorted(values, key=lambda field: fields.index(field))
    used = [*places, *((ranged,) if ranged is not None else ())]
    for place, field in enumerate(used):
        if fields[place] != field:
            raise _out_of_order(index, fields, used, field)
    return [values[field] for field in places]


def _ranged_field(index: str, bounds: Bounds) -> str | None:
    lower, upper = bounds.lower, bounds.upper
    if lower is not None and upper is not None and lower.field != upper.field:
        raise DatabaseError(
            "BoundsOnMultipleFields",
            "Upper and lower bounds in `range` can only be applied to a single index field. This "
            f"query against index {index} attempted to set a range bound on both "
            f"{_quoted(lower.field)} and {_quoted(upper.field)}. Consider using `filter` instead. "
            "See https://docs.convex.dev/using/indexes for more info.",
        )
    bound = lower or upper
    return bound.field if bound is not None else None


def _not_indexed(index: str, fields: Sequence[str], field: str) -> DatabaseError:
    return DatabaseError(
        "FieldNotInIndex",
        f"The index range included a comparison with {_quoted(field)}, but {index} with fields "
        f"{_listed(fields)} doesn't index this field. {_MORE}",
    )


def _out_of_order(
    index: str, fields: Sequence[str], used: Sequence[str], field: str
) -> DatabaseError:
    return DatabaseError(
        "InvalidIndexRange",
        f"Tried to query index {index} but the query didn't use the index fields in order.\n"
        f"Index fields: {_listed(fields)}\nQuery fields: {_listed(used)}\n"
        f"First incorrect field: {_quoted(field)}\n{_MORE}",
    )


def _quoted(field: str) -> str:
    return json.dumps(field)


def _listed(fields: Sequence[str]) -> str:
    # The id is the last field of every index, but Convex does not name it.
    return json.dumps([field for field in fields if field != "_id"] or list(fields))


def value_at(document: object, path: Sequence[str]) -> object:
    """The value at a dotted path of a document, `UNSET` where there is none."""
    for name in path:
        if not isinstance(document, dict):
            return UNSET
        document = document.get(name, UNSET)
    return document

"""What the dashboard asks of a table: documents that conditions on their fields choose, and one.

Owns which documents a condition admits. Never formats for people. One invariant: a page looks at a
bounded number of documents, however few of them it keeps, and goes on behind the last it looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from pyconvex.functions import FunctionCallError, PaginationOptions, RegisteredFunction
from pyconvex.functions.db import SYSTEM_TABLES
from pyconvex.runtime.system_queries.context import SystemCtx, system_query
from pyconvex.values.order import encode_key
from pyconvex.values.types import UNSET, Int64

#: Documents that one page looks at: a fraction of what a query may read, so it takes milliseconds.
MAX_LOOKED_AT = 2000
#: The cursor behind a page that is all there is.
_END = "end"

Operator = Literal["eq", "neq", "lt", "lte", "gt", "gte", "contains", "set", "unset"]


class Condition(msgspec.Struct, frozen=True):
    """What a field must be; `field` may be a path such as `address.city`.

    Order is Convex's, over values of all types, but that a number is compared with an Int64 as
    numbers are. A field that is not there is unequal to every value, and neither before nor behind
    one.
    """

    field: str
    op: Operator
    value: Any = None

    def admits(self) -> Callable[[dict[str, Any]], bool]:
        """Tells of a document whether it is as the condition says.

        >>> tells = Condition("address.city", "contains", "ber").admits()
        >>> tells({"address": {"city": "Berlin"}}), tells({"address": {"city": "Bonn"}})
        (True, False)
        >>> below = Condition("n", "lt", 3.0).admits()
        >>> below({"n": 2.5}), below({"n": Int64(2)}), below({"n": Int64(3)}), below({})
        (True, True, False, False)
        """
        path = self.field.split(".")
        if self.op in ("set", "unset"):
            return lambda document: (_at(document, path) is UNSET) is (self.op == "unset")
        if self.op == "contains":
            part = str(self.value).casefold()
            return lambda document: _contains(_at(document, path), part)
        wanted, holds = encode_key([self.value]), _HOLDS[self.op]

        def tells(document: dict[str, Any]) -> bool:
            found = _at(document, path)
            if found is UNSET:
                return self.op == "neq"
            if isinstance(found, Int64) and isinstance(self.value, float):
                found = float(found)
            return holds(encode_key([found]), wanted)

        return tells


_HOLDS: Final[dict[str, Callable[[bytes, bytes], bool]]] = {
    "eq": lambda found, wanted: found == wanted,
    "neq": lambda found, wanted: found != wanted,
    "lt": lambda found, wanted: found < wanted,
    "lte": lambda found, wanted: found <= wanted,
    "gt": lambda found, wanted: found > wanted,
    "gte": lambda found, wanted: found >= wanted,
}


@system_query
async def page(
    ctx: SystemCtx,
    table: str,
    conditions: list[Any],
    pagination_opts: PaginationOptions,
    order: Literal["asc", "desc"] = "desc",
) -> Any:
    """The documents that all conditions admit, by their creation, page by page."""
    chosen = _conditions(conditions)
    for one in chosen:
        if one.op == "eq" and one.field == "_id":
            found = [await _document(ctx, table, str(one.value))]
            kept = [each for each in found if each is not None and _all_admit(chosen, each)]
            return {"page": kept, "isDone": True, "continueCursor": _END}
    indexed = _with_index(ctx, table, chosen)
    query = ctx.table(table)
    if indexed is None:
        rows = query.order(order)
    else:
        index, equal = indexed
        rows = query.with_index(index, **{equal.field: equal.value}).order(order)
    for one in chosen:
        rows = rows.filter(one.admits())
    bounded = PaginationOptions(
        num_items=pagination_opts.num_items,
        cursor=pagination_opts.cursor,
        maximum_rows_read=MAX_LOOKED_AT,
    )
    result = await rows.paginate(bounded)
    return {
        "page": result.page,
        "isDone": result.is_done,
        "continueCursor": result.continue_cursor,
    }


@system_query
async def document(ctx: SystemCtx, table: str, id: str) -> Any:
    """One document, or null."""
    return await _document(ctx, table, id)


async def _document(ctx: SystemCtx, table: str, id: str) -> Any:
    ctx.table(table)  # refuses what is not to be shown
    reader = ctx.db.system if table in SYSTEM_TABLES else ctx.db
    normal = reader.normalize_id(table, id)
    return None if normal is None else await reader.get(normal)


def _conditions(told: list[Any]) -> list[Condition]:
    try:
        return msgspec.convert(told, list[Condition])
    except msgspec.ValidationError as error:
        raise FunctionCallError(f"These are no conditions: {error}.") from None


def _with_index(
    ctx: SystemCtx, table: str, chosen: list[Condition]
) -> tuple[str, Condition] | None:
    """An index of one field that must equal a value: what it holds is in order of creation. Not for
    numbers, which may be of two types.
    """
    component = ctx.deployed()
    indexes = next(
        (one.indexes for one in (component.tables if component else ()) if one.name == table), {}
    )
    for one in chosen:
        for name, fields in indexes.items():
            usable = one.op == "eq" and not isinstance(one.value, float)
            if usable and fields == [one.field]:
                return name, one
    return None


def _all_admit(chosen: list[Condition], document: dict[str, Any]) -> bool:
    return all(one.admits()(document) for one in chosen)


def _at(document: dict[str, Any], path: list[str]) -> Any:
    found: Any = document
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return UNSET
        found = found[name]
    return found


def _contains(found: Any, part: str) -> bool:
    if isinstance(found, str):
        return part in found.casefold()
    return isinstance(found, list) and any(_contains(each, part) for each in found)


QUERIES: Final[dict[str, RegisteredFunction[..., Any]]] = {
    "pyconvex/documents:page": page,
    "pyconvex/documents:get": document,
}

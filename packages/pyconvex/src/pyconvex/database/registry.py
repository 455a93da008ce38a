"""What deploys and first inserts write into the registries.

Owns creating and dropping tables, and the rows of queues, variables and components. Never commits:
these are ordinary buffered writes, so a deploy is one transaction and whoever depends on what it
changes conflicts or goes stale. One invariant: tablet and index numbers are never used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from pyconvex.database.catalog import (
    COMPONENTS,
    ENV,
    FIRST_SYSTEM_NUMBER,
    FIRST_USER_NUMBER,
    QUEUES,
    TABLES,
    TableInfo,
    new_table,
)
from pyconvex.database.documents import decode_document
from pyconvex.database.draft import Draft
from pyconvex.database.errors import DatabaseError
from pyconvex.database.limits import MAX_TABLES
from pyconvex.storage.model import FIRST_DATA_TABLET, INDEXES_PER_TABLET
from pyconvex.values import Value, codec, ids, limits, order

#: Stands for the component of tables that are gone; no path of one is like that.
_DROPPED = "-"


class ComponentRow(NamedTuple):
    """What is deployed at a path; `version` None means nothing."""

    path: str
    version: str | None
    definition: str


def create_table(draft: Draft, component: str, name: str) -> TableInfo:
    """Register a new table, empty and with its built-in indexes."""
    first = FIRST_SYSTEM_NUMBER if name.startswith("_") else FIRST_USER_NUMBER
    tablet = _next_tablet(draft)
    if (tablet - FIRST_DATA_TABLET) // INDEXES_PER_TABLET >= MAX_TABLES:
        raise DatabaseError("TooManyTables", f"Number of tables cannot exceed {MAX_TABLES}.")
    table = new_table(component, name, _next_number(draft, component, first), tablet)
    _set_row(draft, TABLES, None, table.row())
    return table


def drop_table(draft: Draft, component: str, name: str) -> bool:
    """Let go of a table with all of its documents; False when there is none.

    It is gone at once; what it holds on disk goes in the background. A table that is created later
    under the same name is another one, and ids of the old one's documents are not its own.
    """
    table = draft.table_named(component, name)
    if table is None:
        return False
    if draft.buffer.touches(table.tablet):
        raise DatabaseError("TableNotReady", f"Drop {name} before writing to it, not after.")
    # A row stays, where no component is: numbers are never used again.
    left = new_table(_DROPPED, str(table.tablet), table.tablet, table.tablet)
    change_table(draft, left)
    draft.buffer.dropped_indexes.extend([*(info.id for info in table.maintained), table.tablet])
    return True


def change_table(draft: Draft, table: TableInfo) -> None:
    """Put what is now known of a registered table in place of its row."""
    _set_row(draft, TABLES, _find(draft, TABLES, "by_tablet", table.tablet), table.row())


def declare_queue(draft: Draft, component: str, name: str) -> int:
    """The number of a queue, which is registered if it is new."""
    rows = draft.registry_rows(QUEUES, "by_name", component, name)
    if rows:
        return whole(rows[0]["number"])
    last = draft.last_registry_row(QUEUES, "by_number", b"", None)
    number = whole(last["number"]) + 1 if last is not None else 1
    _set_row(draft, QUEUES, None, {"component": component, "name": name, "number": number})
    return number


def set_env(draft: Draft, component: str, name: str, value: str | None) -> None:
    """Set or remove a variable; the same value again changes nothing."""
    found = _find(draft, ENV, "by_name", component, name)
    row = None if value is None else {"component": component, "name": name, "value": value}
    _set_row(draft, ENV, found, row)


def component_at(draft: Draft, path: str) -> ComponentRow | None:
    return draft.registered(COMPONENTS, "by_path", _component, path)


def all_components(draft: Draft) -> list[ComponentRow]:
    """Everything that is deployed, the root first; a read of the whole list."""
    return [_component(row) for row in draft.registry_rows(COMPONENTS, "by_path")]


def set_component(draft: Draft, component: ComponentRow) -> None:
    found = _find(draft, COMPONENTS, "by_path", component.path)
    row: dict[str, object] | None = None
    if component.version is not None:
        row = dict(component._asdict())
    _set_row(draft, COMPONENTS, found, row)


def table_names(draft: Draft, component: str) -> list[str]:
    return [str(row["name"]) for row in draft.registry_rows(TABLES, "by_name", component)]


def whole(number: Value) -> int:
    """A registry's number as an int."""
    return int(cast(float, number))


def _component(row: Mapping[str, Value]) -> ComponentRow:
    return ComponentRow(str(row["path"]), str(row["version"]), str(row["definition"]))


def _next_number(draft: Draft, component: str, first: int) -> int:
    start = order.encode_key([component, first])
    last_number = FIRST_USER_NUMBER if first < FIRST_USER_NUMBER else limits.MAX_SAFE_INTEGER
    end = order.encode_key([component, last_number])
    last = draft.last_registry_row(TABLES, "by_number", start, end)
    return first if last is None else whole(last["number"]) + 1


def _next_tablet(draft: Draft) -> int:
    last = draft.last_registry_row(TABLES, "by_tablet", b"", None)
    return FIRST_DATA_TABLET if last is None else whole(last["tablet"]) + INDEXES_PER_TABLET


def _find(draft: Draft, table: TableInfo, index: str, *values: object) -> dict[str, Value] | None:
    rows = draft.registry_rows(table, index, *values)
    return rows[0] if rows else None


def _set_row(
    draft: Draft,
    table: TableInfo,
    found: Mapping[str, Value] | None,
    row: Mapping[str, object] | None,
) -> None:
    """Replace a registry row that was found, or add one; None as `row` removes it."""
    if found is None and row is None:
        return
    if found is None:
        internal = draft.new_id()
        id = ids.encode_id(table.number, internal)
    else:
        id = str(found["_id"])
        internal = ids.decode_id(id).internal
    before = draft.fetch(table, internal, counted=False)
    if row is None:
        draft.put(table, internal, before, None)
        return
    doc = codec.encode({**row, "_id": id})
    if before is None or before.doc != doc:
        draft.put(table, internal, before, (doc, decode_document(doc)))

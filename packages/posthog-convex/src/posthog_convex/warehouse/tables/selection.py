"""Which tables and columns are wanted.

Owns the choice, as people write it and in the two forms in which it is used: Convex's selection
object, and a filter for backends whose streams cannot choose. Invariant: both say the same.
"""

from __future__ import annotations

from typing import Any

import msgspec

from posthog_convex.warehouse.tables.ref import TableRef


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything, unless `include` names tables; never what `exclude` and `exclude_columns` name.

    A table is written `users`, that of a component `waitlist/orders`, all of a component
    `waitlist/*`; a column `users.ssn`.

    >>> Selection(exclude=("logs",)).allows(TableRef("", "logs"))
    False
    >>> Selection(include=("users",)).wire()
    {'_other': 'excluded', '': {'_other': 'excluded', 'users': 'included'}}
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for column in self.exclude_columns:
            table, _, field = column.rpartition(".")
            if not table or not field:
                raise ValueError(f"{column!r} of `exclude_columns` is no column: write users.ssn")

    def allows(self, ref: TableRef) -> bool:
        """Whether the table is wanted at all."""
        if _named(ref, self.exclude):
            return False
        return not self.include or _named(ref, self.include)

    def hidden_fields(self, ref: TableRef) -> frozenset[str]:
        """The table's fields that are not wanted."""
        split = (column.rsplit(".", 1) for column in self.exclude_columns)
        return frozenset(field for table, field in split if _ref(table) == ref)

    def wire(self) -> dict[str, Any] | None:
        """Convex's selection object; None for everything."""
        if self == Selection():
            return None
        other = "excluded" if self.include else "included"
        components: dict[str, dict[str, Any]] = {}
        for written, word in [
            *((written, "included") for written in self.include),
            *((written, "excluded") for written in self.exclude),
        ]:
            ref = _ref(written)
            tables = components.setdefault(ref.component, {"_other": other})
            tables["_other" if ref.table == "*" else ref.table] = word
        for written in self.exclude_columns:
            table, _, field = written.rpartition(".")
            ref = _ref(table)
            if not self.allows(ref):
                continue
            tables = components.setdefault(ref.component, {"_other": other})
            columns = tables.get(ref.table)
            if not isinstance(columns, dict):
                columns = tables[ref.table] = {"_other": "included"}
            columns[field] = "excluded"
        return {"_other": other, **components}


def _ref(written: str) -> TableRef:
    component, _, table = written.rpartition("/")
    return TableRef(component, table)


def names(pattern: str, ref: TableRef) -> bool:
    """Whether what somebody wrote names a table, by itself or with all of its component.

    >>> orders = TableRef("waitlist", "orders")
    >>> names("waitlist/*", orders), names("orders", orders)
    (True, False)
    """
    return _ref(pattern) in (ref, TableRef(ref.component, "*"))


def _named(ref: TableRef, patterns: tuple[str, ...]) -> bool:
    return any(names(pattern, ref) for pattern in patterns)

"""What there is to export: tables, their columns, and what their documents look like.

Owns the two answers that tell it. Never fails for what documents hold: mixed types are a union. One
invariant: every exported table is named, also one that is empty.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from pyconvex.export.json_schema import table_schema
from pyconvex.export.survey import Survey
from pyconvex.export.tables import ExportTable, TableList
from pyconvex.storage import Reader

_EMPTY = ["_creationTime", "_id"]


class Discovery:
    """Answers what there is; each answer is JSON and the timestamp that it is for."""

    def __init__(self, reader: Reader, tables: TableList) -> None:
        self._reader = reader
        self._tables = tables
        self._survey = Survey(reader, tables)

    def json_schemas(self, format: str, delta: bool, by_component: bool) -> tuple[int, bytes]:
        """A schema for each table; without `by_component` one of two with the same name."""
        ts, tables = self._surveyed()
        found: dict[str, dict[str, Any]] = {"": {}}
        for component, here in tables.items():
            names = {table.number: table.name for table in here}
            found[component] = {
                table.name: table_schema(
                    self._survey.shape(table.tablet), table.name, names, format, delta=delta
                )
                for table in here
            }
        if by_component:
            return ts, msgspec.json.encode(found)
        flat = {name: schema for each in found.values() for name, schema in each.items()}
        return ts, msgspec.json.encode(flat)

    def column_names(self) -> tuple[int, bytes]:
        """The columns of each table."""
        ts, tables = self._surveyed()
        found = {
            component: [{"name": table.name, "columns": self._columns(table)} for table in here]
            for component, here in tables.items()
        }
        return ts, msgspec.json.encode({"byComponent": found})

    def _surveyed(self) -> tuple[int, dict[str, list[ExportTable]]]:
        ts = self._survey.catch_up()
        self._reader.begin()
        try:
            tables = self._tables.at(self._reader)
        finally:
            self._reader.end()
        found: dict[str, list[ExportTable]] = defaultdict(list)
        for table in tables:
            found[table.component].append(table)
        return ts, dict(sorted(found.items()))

    def _columns(self, table: ExportTable) -> list[str]:
        shape = self._survey.shape(table.tablet)
        return sorted(shape.fields) if shape is not None and shape.fields else _EMPTY

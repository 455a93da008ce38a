"""Which tables an export is about, at one snapshot.

Owns the list of exported tables, read from the registry. Never a system table, and never one of a
component that is not deployed any more. One invariant: a tablet is one life of a table, so a table
that was replaced is another one, whatever its name.
"""

from __future__ import annotations

from typing import NamedTuple

from pyconvex.database.catalog import COMPONENTS, TABLES, table_of
from pyconvex.database.documents import decode_document
from pyconvex.storage import Reader
from pyconvex.storage.reader import NO_LIMIT


class ExportTable(NamedTuple):
    """One table: `component` is its path, "" for the app itself; `number` is in its ids."""

    tablet: int
    component: str
    name: str
    number: int

    @property
    def key(self) -> tuple[str, str]:
        """What it is called, also in its next life."""
        return self.component, self.name


class TableList:
    """A process's memory of the registry, read again when that has changed."""

    def __init__(self) -> None:
        self._catalog_ts = -1
        self._tables: list[ExportTable] = []

    def at(self, reader: Reader) -> list[ExportTable]:
        """The exported tables of the snapshot that is open, by tablet."""
        head = reader.head
        assert head is not None
        if head.catalog_ts != self._catalog_ts:
            self._tables = _exported(reader)
            self._catalog_ts = head.catalog_ts
        return self._tables


def _exported(reader: Reader) -> list[ExportTable]:
    deployed = {""} | {
        str(decode_document(doc)["path"]) for doc in _rows(reader, COMPONENTS.tablet)
    }
    tables = (table_of(decode_document(doc)) for doc in _rows(reader, TABLES.tablet))
    return sorted(
        ExportTable(table.tablet, table.component, table.name, table.number)
        for table in tables
        if not table.name.startswith("_") and table.component in deployed
    )


def _rows(reader: Reader, tablet: int) -> list[bytes]:
    rows = reader.scan(tablet, b"", None, descending=False, limit=NO_LIMIT)
    return [doc for _, _, _, doc in rows]

"""What a set of Parquet files holds: the manifest that is written after them.

Owns its form, and the question whether a file is what it should be. Never reads or writes one.
Invariant: a manifest names files that were there, whole, before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from posthog_convex.warehouse.documents.columns import Kind
from posthog_convex.warehouse.plan.progress import Table
from posthog_convex.warehouse.refusal import newer

LAYOUT = 1


class FileColumn(msgspec.Struct, frozen=True):
    """A column and the field of the documents that it holds; text of the kind `json` is JSON."""

    name: str
    field: str
    kind: Kind


class TableFile(msgspec.Struct, frozen=True):
    """A table in a manifest. `generation` and `changed_ts` say which rows of it these are."""

    name: str
    component: str
    table: str
    rows: int
    columns: tuple[FileColumn, ...]
    generation: int
    changed_ts: int

    def holds(self, table: Table) -> bool:
        """Whether the file is what readers see of a table."""
        return table.live is not None and (self.generation, self.changed_ts) == (
            table.live.number,
            table.changed_ts,
        )


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot holds and the timestamp that it is true for."""

    layout: int
    snapshot_ts: int
    tables: tuple[TableFile, ...]

    def by_name(self) -> dict[str, TableFile]:
        return {table.name: table for table in self.tables}

    def counts(self) -> dict[str, int]:
        """The rows of each table."""
        return {table.name: table.rows for table in self.tables}

    def holds(self, tables: Sequence[Table]) -> bool:
        """Whether the files are what readers see of these tables, and of no others."""
        known = self.by_name()
        return len(known) == len(tables) and all(
            table.name in known and known[table.name].holds(table) for table in tables
        )


class _Layout(msgspec.Struct, frozen=True):
    layout: int


def read(content: bytes) -> Manifest:
    """A manifest's content. Raises SyncRefused for what only a newer version can read."""
    if msgspec.json.decode(content, type=_Layout).layout > LAYOUT:
        raise newer()
    return msgspec.json.decode(content, type=Manifest)


def described(table: Table, rows: int) -> TableFile:
    """What the manifest says of a file that was just written from a table."""
    assert table.live is not None
    assert table.changed_ts is not None
    return TableFile(
        table.name,
        table.ref.component,
        table.ref.table,
        rows,
        tuple(FileColumn(c.name, c.field, c.kind) for c in table.live.schema.columns),
        table.live.number,
        table.changed_ts,
    )

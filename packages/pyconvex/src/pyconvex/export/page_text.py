"""A page of a data sync as the text that leaves: one JSON object, or lines.

Owns both forms. Never decides what is on a page. One invariant: rows of one document stand in the
order in which they were added.

In the form of lines the first one tells everything but the rows, and how many rows and bytes of
which table follow, in blocks: whoever reads can ask for the next page before it decodes this one,
and decode each block with what it knows of its table.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from pyconvex.export.tables import ExportTable
from pyconvex.export.wire_text import quoted

JSON = "application/json"
LINES = "application/x-ndjson"

_DELETED = b',"deleted":true,"value":'
_LIVE = b',"deleted":false,"value":'
_OLD = b',"oldDocument":'


class TableName(msgspec.Struct, frozen=True):
    """A table as pages name it."""

    component: str
    table: str


class Status(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How far the sync is; `snapshot_ts` is set once what was emitted is consistent."""

    type: str
    snapshot_ts: int | None = None


class Pagination(msgspec.Struct, frozen=True, rename="camel"):
    """There is always a next page; what tells whether to ask for it now is the status."""

    next_cursor: str
    has_more: bool = True


class Envelope(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """All of a page but its rows; `dropped` and `retention` only for those who asked for them."""

    status: Status
    truncates: list[TableName]
    sync_id: str
    pagination: Pagination
    dropped: list[TableName] | None = None
    #: How long a cursor stays good, in seconds.
    retention: int | None = None


class PageText(Protocol):
    """Where the rows of a page go."""

    content_type: str

    def add(
        self,
        table: ExportTable,
        ts: int,
        value: bytes,
        *,
        deleted: bool = False,
        old: bytes = b"",
    ) -> None:
        """One version of a document, and the one before if that is told, as JSON text."""

    def finish(self, envelope: Envelope) -> list[bytes]:
        """The whole page, in pieces."""


class ObjectText:
    """The form of Convex: one object with the rows in `values`."""

    content_type = JSON

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        self._heads: dict[int, bytes] = {}

    def add(
        self,
        table: ExportTable,
        ts: int,
        value: bytes,
        *,
        deleted: bool = False,
        old: bytes = b"",
    ) -> None:
        head = self._heads.get(table.tablet)
        if head is None:
            component, name = quoted(table.component), quoted(table.name)
            head = b'{"component":' + component + b',"table":' + name + b',"ts":'
            self._heads[table.tablet] = head
        told = _OLD + old if old else b""
        self._rows.append(b"%b%d%b%b%b}" % (head, ts, _DELETED if deleted else _LIVE, value, told))

    def finish(self, envelope: Envelope) -> list[bytes]:
        head, rest = msgspec.json.encode(envelope).split(b',"syncId":', 1)
        return [head, b',"values":[', b",".join(self._rows), b'],"syncId":', rest]


class LinesText:
    """One line for the envelope, then blocks of lines, one block for each table."""

    content_type = LINES

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[ExportTable, list[bytes]]] = {}

    def add(
        self,
        table: ExportTable,
        ts: int,
        value: bytes,
        *,
        deleted: bool = False,
        old: bytes = b"",
    ) -> None:
        block = self._blocks.get(table.tablet)
        if block is None:
            block = self._blocks[table.tablet] = (table, [])
        told = _OLD + old if old else b""
        block[1].append(b'{"ts":%d%b%b%b}\n' % (ts, _DELETED if deleted else _LIVE, value, told))

    def finish(self, envelope: Envelope) -> list[bytes]:
        blocks = [(table, len(rows), b"".join(rows)) for table, rows in self._blocks.values()]
        told = [
            {"component": table.component, "table": table.name, "rows": rows, "bytes": len(text)}
            for table, rows, text in blocks
        ]
        head = msgspec.json.encode(envelope)[:-1] + b',"tables":' + msgspec.json.encode(told)
        return [head, b"}\n", *(text for _, _, text in blocks)]

"""The shapes of all tables, kept up with the data.

Owns a data sync of its own whose rows are looked at instead of sent. Never holds a snapshot for
longer than a page. One invariant: when `catch_up` is done, every document that is there has been
seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from pyconvex.export.cursor import SyncCursor
from pyconvex.export.data_sync import PageLimits, take_step
from pyconvex.export.page_text import Envelope
from pyconvex.export.refusal import ExportRefused
from pyconvex.export.selection import Selection
from pyconvex.export.shapes import Shape
from pyconvex.export.tables import ExportTable, TableList
from pyconvex.export.wire_text import as_stored
from pyconvex.storage import Reader

#: A fraction of a second of looking.
_PAGE = PageLimits(entries=8_192, bytes=8 * 1024 * 1024)
#: What one request may take; the next one goes on from there.
PATIENCE_S = 20.0

_parse = msgspec.json.Decoder().decode


class Survey:
    """What tables look like. Deletions don't narrow a shape; a new process begins anew."""

    def __init__(self, reader: Reader, tables: TableList) -> None:
        self._reader = reader
        self._tables = tables
        self._cursor: SyncCursor | None = None
        self._shapes: dict[int, Shape] = {}

    def catch_up(self, *, now_s: Callable[[], float] = time.monotonic) -> int:
        """See all documents; returns the timestamp. Raises `ExportRefused` (503) when it takes too
        long."""
        until = now_s() + PATIENCE_S
        while True:
            with suppress(_Expired):
                ts = self._step()
                if ts is not None:
                    return ts
            if now_s() > until:
                raise ExportRefused(
                    "TableSummariesUnavailable",
                    "The tables are still being looked at. Try again in a minute.",
                    503,
                )

    def shape(self, tablet: int) -> Shape | None:
        """The shape of a table's documents; None when it has had none."""
        return self._shapes.get(tablet)

    def _step(self) -> int | None:
        """One page; returns its timestamp when it was the last."""
        head = self._reader.begin()
        try:
            cursor = self._cursor or SyncCursor("", head.ts)
            tables = self._tables.at(self._reader)
            eyes = _Eyes(self._shapes)
            step = take_step(
                self._reader, tables, Selection(), cursor, eyes, _PAGE, rewrite=as_stored
            )
        except ExportRefused:
            self._cursor = None  # too long ago: everything is looked at again
            self._shapes.clear()
            raise _Expired from None
        finally:
            self._reader.end()
        self._cursor = step.cursor
        for tablet in self._shapes.keys() - step.cursor.tracked.keys():
            del self._shapes[tablet]
        return head.ts if step.status.type == "upToDate" else None


class _Expired(Exception):
    """The survey has to begin anew."""


class _Eyes:
    """Looks at rows (`PageText`)."""

    content_type = ""

    def __init__(self, shapes: dict[int, Shape]) -> None:
        self._shapes = shapes

    def add(
        self,
        table: ExportTable,
        ts: int,
        value: bytes,
        *,
        deleted: bool = False,
        old: bytes = b"",
    ) -> None:
        if not deleted:
            self._shapes.setdefault(table.tablet, Shape()).see(_parse(value))

    def finish(self, envelope: Envelope) -> list[bytes]:
        return []

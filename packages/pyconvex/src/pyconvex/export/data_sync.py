"""One step of a data sync: from a cursor to the rows of a page and the next cursor.

Owns the algorithm. Never keeps anything between two steps, and never reads older data than the
newest. One invariant: after each step, the captured part of the data (the tables that are done, and
the table in progress up to its last id) has been emitted as it is at the cursor's timestamp.

The current documents and the revision log are enough for that, without old snapshots: in one read
at the head, first every captured change since the cursor's timestamp, then, if that reached the
head, further documents as they are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pyconvex.export.cursor import InProgress, SyncCursor, check_known
from pyconvex.export.old_documents import OldDocuments
from pyconvex.export.page_text import PageText, Status, TableName
from pyconvex.export.selection import Columns, Selection
from pyconvex.export.tables import ExportTable
from pyconvex.export.wire_text import Rewrite, as_export, only_id, project
from pyconvex.storage import Reader


class PageLimits(msgspec.Struct, frozen=True):
    """What ends a page; one transaction, or one document, may go beyond. Convex's numbers."""

    entries: int = 16_384
    bytes: int = 64 * 1024 * 1024
    rows_read: int = 32_768


class Step(NamedTuple):
    """What a step came to."""

    cursor: SyncCursor
    status: Status
    truncates: list[TableName]
    #: Tables that were emitted before and are there no more, under no name.
    dropped: list[TableName]
    rows: int


def take_step(
    reader: Reader,
    tables: Sequence[ExportTable],
    selection: Selection,
    cursor: SyncCursor,
    text: PageText,
    limits: PageLimits,
    rewrite: Rewrite = as_export,
    *,
    tell_old: bool = False,
) -> Step:
    """Put a page's rows into `text`, written by `rewrite`; with `tell_old`, changes with what was.

    Raises `ExportRefused`; then the cursor may be used again.
    """
    step = _Step(reader, tables, selection, cursor, text, limits, rewrite)
    step.forget_what_is_gone()
    step.emit_changes(tell_old=tell_old)
    if step.ts == step.head:
        step.emit_documents()
    return step.result()


class _Selected(NamedTuple):
    table: ExportTable
    columns: Columns

    def rewrite(self, rewrite: Rewrite) -> Rewrite:
        """How stored bytes become text."""
        columns = self.columns
        return rewrite if columns.everything else lambda doc: rewrite(project(doc, columns))


class _Step:
    def __init__(
        self,
        reader: Reader,
        tables: Sequence[ExportTable],
        selection: Selection,
        cursor: SyncCursor,
        text: PageText,
        limits: PageLimits,
        rewrite: Rewrite,
    ) -> None:
        assert reader.head is not None
        self.head, self._catalog_ts = reader.head.ts, reader.head.catalog_ts
        self.ts = cursor.ts
        self._reader = reader
        self._tables = tables
        self._selected = _selected(tables, selection)
        self._before = cursor
        self._text = text
        self._limits = limits
        self._rewrite = rewrite
        self._done = {table.tablet: table for table in cursor.done}
        self._current = cursor.current
        self._documents = cursor.documents
        self._rows = 0
        self._bytes = 0
        self._rows_read = 0

    def forget_what_is_gone(self) -> None:
        """Go on without tables that are not selected any more, or not there."""
        for tablet in self._done.keys() - self._selected.keys():
            del self._done[tablet]
        if self._current is not None and self._current.table.tablet not in self._selected:
            self._current = None

    def emit_changes(self, *, tell_old: bool = False) -> None:
        """Emit what happened to the captured part, up to the head or the end of the page."""
        if not self._done and self._current is None and self.ts <= self.head:
            self.ts = self.head
            return
        check_known(self._reader, self.ts)
        self.ts = self._last_complete(self._old_documents() if tell_old else None)

    def _old_documents(self) -> OldDocuments:
        limits = self._limits
        return OldDocuments(
            self._reader,
            self.ts,
            self._captures,
            entries=limits.entries,
            rows_read=limits.rows_read,
        )

    def _last_complete(self, olds: OldDocuments | None) -> int:
        """Emit changes; returns the timestamp up to which all are emitted."""
        rewrites = {tablet: each.rewrite(self._rewrite) for tablet, each in self._selected.items()}
        complete = self.ts
        for ts, tablet, id, doc in self._reader.walk_revisions(self.ts):
            if ts != complete:  # a transaction is never parted
                if self._is_full():
                    return complete
                complete = ts
            self._rows_read += 1
            if not self._captures(tablet, id):
                continue
            table, rewrite = self._selected[tablet].table, rewrites[tablet]
            old = b"" if olds is None else olds.text(ts, tablet, id, rewrite)
            self._count(doc or b"")
            self._bytes += len(old)
            value = only_id(table.number, id) if doc is None else rewrite(doc)
            self._text.add(table, ts, value, deleted=doc is None, old=old)
        return self.head

    def emit_documents(self) -> None:
        """Emit further documents as they are at the head, table after table."""
        while self._current is not None or self._begin_next():
            if self._is_full() or not self._emit_table():
                return

    def result(self) -> Step:
        before = self._before
        cursor = SyncCursor(
            before.sync_id, self.ts, tuple(self._done.values()), self._current, self._documents
        )
        tracked = cursor.tracked
        begun = [table for tablet, table in tracked.items() if tablet not in before.tracked]
        left = [table for tablet, table in before.tracked.items() if tablet not in tracked]
        dropped, replaced = self._fates([*before.replaced, *left], {each.key for each in begun})
        cursor = msgspec.structs.replace(cursor, replaced=tuple(replaced))
        return Step(cursor, self._status(), _names(begun), _names(dropped), self._rows)

    def _fates(
        self, left: list[ExportTable], begun: set[tuple[str, str]]
    ) -> tuple[list[ExportTable], list[ExportTable]]:
        """Which of the tables that were left are gone by name, and which wait for a successor.

        Who reads is told of the one with `dropped`, of the other with the successor's truncate; and
        a successor that is dropped before it begins is as if it had never been.
        """
        there = {table.key for table in self._tables}
        selected = {each.table.key for each in self._selected.values()}
        dropped = [table for table in left if table.key not in there]
        return dropped, [table for table in left if table.key in selected - begun]

    def _begin_next(self) -> bool:
        """Take up the next table that is not emitted yet; False when there is none."""
        for tablet, selected in self._selected.items():
            if tablet not in self._done:
                self._current = InProgress(selected.table)
                return True
        return False

    def _emit_table(self) -> bool:
        """Emit documents of the table in progress; False when the page is full before its end."""
        current = self._current
        assert current is not None
        selected = self._selected[current.table.tablet]
        table, rewrite, add = selected.table, selected.rewrite(self._rewrite), self._text.add
        last_id, before = current.last_id, self._rows
        for id, ts, doc in self._reader.walk_documents(table.tablet, last_id):
            if self._is_full():
                found = current.documents + self._rows - before
                self._current = InProgress(current.table, last_id, found)
                return False
            self._count(doc)
            add(table, ts, rewrite(doc))
            last_id = id
        self._documents += current.documents + self._rows - before
        self._done[table.tablet] = current.table
        self._current = None
        return True

    def _captures(self, tablet: int, id: bytes) -> bool:
        if tablet in self._done:
            return True
        current = self._current
        return current is not None and tablet == current.table.tablet and id <= current.last_id

    def _count(self, doc: bytes) -> None:
        self._rows += 1
        self._bytes += len(doc)

    def _is_full(self) -> bool:
        limits = self._limits
        return (
            self._rows >= limits.entries
            or self._bytes >= limits.bytes
            or self._rows_read >= limits.rows_read
        )

    def _status(self) -> Status:
        if self._current is not None or self._selected.keys() - self._done.keys():
            return Status("snapshotting")
        if self.ts == self.head:
            return Status("upToDate", self.ts)
        # Which tables there are was read at the head. Before the registry's newest change, others
        # may have been there, so what was emitted need not be all of them.
        known = self._catalog_ts <= self.ts
        return Status("stale", self.ts) if known else Status("snapshotting")


def _selected(tables: Sequence[ExportTable], selection: Selection) -> dict[int, _Selected]:
    return {
        table.tablet: _Selected(table, columns)
        for table in tables
        for columns in [selection.columns(table.component, table.name)]
        if columns is not None
    }


def _names(tables: Sequence[ExportTable]) -> list[TableName]:
    return [TableName(table.component, table.name) for table in tables]

"""Requests of an export become heads and bodies.

Owns the reader, and what is remembered between requests. Never talks over a socket. One invariant:
the snapshot of a request is let go before its body is compressed or sent.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pyconvex.export import cursor as cursors
from pyconvex.export import legacy
from pyconvex.export.cursor import SyncCursor
from pyconvex.export.data_sync import PageLimits, Step, take_step
from pyconvex.export.discovery import Discovery
from pyconvex.export.messages import (
    ColumnNames,
    CountDocuments,
    CursorFromDeltas,
    DataSync,
    DocumentDeltas,
    ExportRequest,
    Head,
    JsonSchemas,
    ListSnapshot,
    Progress,
    SelectionText,
)
from pyconvex.export.page_text import JSON, Envelope, LinesText, ObjectText, Pagination
from pyconvex.export.past import Past
from pyconvex.export.refusal import ExportRefused
from pyconvex.export.selection import Selection
from pyconvex.export.tables import ExportTable, TableList
from pyconvex.export.wire_text import rewrite_for
from pyconvex.storage import Head as SnapshotHead
from pyconvex.storage import Reader, StorageFailure
from pyconvex.storage.retention import REVISION_RETENTION_NS

#: Fast rather than small: pages shrink to a fifth at some 100 MB/s.
GZIP_LEVEL = 1
#: Walks at earlier snapshots that go on side by side without beginning anew.
PASTS_KEPT = 4


class Answers:
    """Makes answers from a database file."""

    def __init__(self, database: Path, secret: bytes, limits: PageLimits | None = None) -> None:
        self._reader = Reader(database)
        self._secret = secret
        self._limits = limits or PageLimits()
        self._tables = TableList()
        self._pasts: OrderedDict[int, Past] = OrderedDict()
        self._discovery = Discovery(self._reader, self._tables)

    def answer(self, request: ExportRequest) -> tuple[Head, bytes]:
        """How the request ends, and its body."""
        try:
            return self._answer(request)
        except ExportRefused as refused:
            return Head(refused.status, refused.code, refused.message), b""
        except StorageFailure as failure:
            return Head(503, "StorageFailure", str(failure)), b""

    def close(self) -> None:
        """Let go of the data folder."""
        self._reader.close()

    def _answer(self, request: ExportRequest) -> tuple[Head, bytes]:
        match request:
            case DataSync():
                return self._data_sync(request)
            case ListSnapshot():
                return self._list_snapshot(request)
            case DocumentDeltas():
                return self._document_deltas(request)
            case CursorFromDeltas():
                return self._cursor_from_deltas(request)
            case CountDocuments(tablets):
                with self._snapshot() as head:
                    counts = [self._reader.count(tablet) for tablet in tablets]
                return _whole(head.ts, [msgspec.json.encode(counts)])
            case JsonSchemas(format, delta, by_component):
                rewrite_for(format)
                ts, found = self._discovery.json_schemas(format, delta, by_component)
                return _whole(ts, [found])
            case ColumnNames():
                ts, found = self._discovery.column_names()
                return _whole(ts, [found])

    def _data_sync(self, request: DataSync) -> tuple[Head, bytes]:
        selection = _selection(request.selection)
        text = LinesText() if request.lines else ObjectText()
        limits = self._limits
        if request.page_size is not None:
            limits = PageLimits(request.page_size, limits.bytes, limits.rows_read)
        with self._snapshot() as head:
            tables = self._tables.at(self._reader)
            if request.cursor is None:
                cursor = SyncCursor(request.sync_id, head.ts)
            else:
                cursor = cursors.unseal(self._secret, request.cursor)
            old = request.tell_old_document
            step = take_step(self._reader, tables, selection, cursor, text, limits, tell_old=old)
        envelope = Envelope(
            status=step.status,
            truncates=step.truncates,
            sync_id=step.cursor.sync_id,
            pagination=Pagination(cursors.seal(self._secret, step.cursor)),
            dropped=step.dropped if request.tell_dropped else None,
            retention=REVISION_RETENTION_NS // 10**9 if request.tell_retention else None,
        )
        progress = _progress(step, tables, selection, begins=request.cursor is None)
        sent, body = _whole(head.ts, text.finish(envelope), gzip=request.gzip)
        told = msgspec.structs.replace(sent, content_type=text.content_type, progress=progress)
        return told, body

    def _list_snapshot(self, request: ListSnapshot) -> tuple[Head, bytes]:
        selection, rewrite = _selection(request.selection), rewrite_for(request.format)
        with self._snapshot() as head:
            ts = head.ts if request.snapshot is None else request.snapshot
            legacy.check_snapshot(ts, head.ts, request.now_ns)
            chosen = legacy.choose(self._tables.at(self._reader), selection, rewrite)
            pieces = legacy.snapshot_page(self._reader, self._past(ts), chosen, request.cursor)
        return _whole(head.ts, pieces, gzip=request.gzip)

    def _past(self, ts: int) -> Past:
        past = self._pasts.pop(ts, None) or Past(ts)
        self._pasts[ts] = past
        if len(self._pasts) > PASTS_KEPT:
            self._pasts.popitem(last=False)
        return past

    def _document_deltas(self, request: DocumentDeltas) -> tuple[Head, bytes]:
        selection, rewrite = _selection(request.selection), rewrite_for(request.format)
        with self._snapshot() as head:
            chosen = legacy.choose(self._tables.at(self._reader), selection, rewrite)
            pieces = legacy.deltas_page(
                self._reader, chosen, request.cursor, tell_old=request.tell_old_document
            )
        return _whole(head.ts, pieces, gzip=request.gzip)

    def _cursor_from_deltas(self, request: CursorFromDeltas) -> tuple[Head, bytes]:
        selection = _selection(request.selection)
        with self._snapshot() as head:
            cursors.check_known(self._reader, request.cursor)
            done = [
                table
                for table in self._tables.at(self._reader)
                if selection.columns(table.component, table.name) is not None
            ]
        cursor = SyncCursor(request.sync_id, request.cursor, tuple(done))
        told = {"cursor": cursors.seal(self._secret, cursor)}
        return _whole(head.ts, [msgspec.json.encode(told)])

    @contextmanager
    def _snapshot(self) -> Iterator[SnapshotHead]:
        try:
            yield self._reader.begin()
        finally:
            self._reader.end()


def _selection(asked: SelectionText) -> Selection:
    if asked.json is not None:
        return Selection.parse(asked.json)
    return Selection.only(asked.component, asked.table)


def _whole(as_of_ts: int, pieces: Sequence[bytes], *, gzip: bool = False) -> tuple[Head, bytes]:
    encoding, body = _packed(pieces, gzip=gzip)
    return Head(200, "", "", as_of_ts, JSON, encoding, len(body)), body


def _packed(pieces: Sequence[bytes], *, gzip: bool) -> tuple[str, bytes]:
    if not gzip:
        return "", b"".join(pieces)
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return "gzip", b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])


def _progress(
    step: Step, tables: Sequence[ExportTable], selection: Selection, *, begins: bool
) -> Progress:
    cursor, current = step.cursor, step.cursor.current
    selected = [t for t in tables if selection.columns(t.component, t.name) is not None]
    done = {table.tablet for table in cursor.done}
    # One that goes on is always at a table: at the next one when it is at none.
    at = current.table if current else next((t for t in selected if t.tablet not in done), None)
    return Progress(
        sync_id=cursor.sync_id,
        begins=begins,
        status=step.status.type,
        snapshot_ts=step.status.snapshot_ts,
        tables_synced=len(cursor.done),
        tables=tuple(table.tablet for table in selected),
        component=None if at is None else at.component,
        table=None if at is None else at.name,
        tablet=0 if at is None else at.tablet,
        documents_in_table=0 if current is None else current.documents,
        documents=cursor.documents + (0 if current is None else current.documents),
        news=bool(step.rows or step.truncates or step.dropped),
    )

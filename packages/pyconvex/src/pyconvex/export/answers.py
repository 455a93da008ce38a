"""Requests of an export become heads and bodies.

Owns the reader, and what is remembered between requests. Never talks over a socket. One invariant:
the snapshot of a request is let go before its body is compressed or sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from pyconvex.export import cursor as cursors
from pyconvex.export.cursor import SyncCursor
from pyconvex.export.data_sync import PageLimits, Step, take_step
from pyconvex.export.messages import DataSync, ExportRequest, Head, Progress
from pyconvex.export.page_text import Envelope, LinesText, ObjectText, Pagination
from pyconvex.export.refusal import ExportRefused
from pyconvex.export.selection import Selection
from pyconvex.export.tables import ExportTable, TableList
from pyconvex.storage import Reader, StorageFailure

#: Fast rather than small: pages shrink to a fifth at some 100 MB/s.
GZIP_LEVEL = 1


class Answers:
    """Makes answers from a database file."""

    def __init__(self, database: Path, secret: bytes, limits: PageLimits | None = None) -> None:
        self._reader = Reader(database)
        self._secret = secret
        self._limits = limits or PageLimits()
        self._tables = TableList()

    def answer(self, request: ExportRequest) -> tuple[Head, bytes]:
        """How the request ends, and its body."""
        try:
            return self._data_sync(request)
        except ExportRefused as refused:
            return Head(refused.status, refused.code, refused.message), b""
        except StorageFailure as failure:
            return Head(503, "StorageFailure", str(failure)), b""

    def close(self) -> None:
        """Let go of the data folder."""
        self._reader.close()

    def _data_sync(self, request: DataSync) -> tuple[Head, bytes]:
        selection = Selection.parse(request.selection)
        text = LinesText() if request.lines else ObjectText()
        limits = self._limits
        if request.page_size is not None:
            limits = PageLimits(request.page_size, limits.bytes, limits.rows_read)
        head = self._reader.begin()
        try:
            tables = self._tables.at(self._reader)
            if request.cursor is None:
                cursor = SyncCursor(request.sync_id, head.ts)
            else:
                cursor = cursors.unseal(self._secret, request.cursor)
            step = take_step(self._reader, tables, selection, cursor, text, limits)
        finally:
            self._reader.end()
        envelope = Envelope(
            status=step.status,
            truncates=step.truncates,
            sync_id=step.cursor.sync_id,
            pagination=Pagination(cursors.seal(self._secret, step.cursor)),
            dropped=step.dropped if request.tell_dropped else None,
        )
        body = text.finish(envelope)
        encoding, packed = _packed(body, gzip=request.gzip)
        progress = _progress(step, tables, selection, begins=request.cursor is None)
        sent = Head(200, "", "", head.ts, text.content_type, encoding, len(packed), progress)
        return sent, packed


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
    return Progress(
        sync_id=cursor.sync_id,
        begins=begins,
        status=step.status.type,
        snapshot_ts=step.status.snapshot_ts,
        tables_synced=len(cursor.done),
        tables=len(selected),
        component=None if current is None else current.table.component,
        table=None if current is None else current.table.name,
        documents_in_table=0 if current is None else current.documents,
        documents=cursor.documents + (0 if current is None else current.documents),
        news=bool(step.rows or step.truncates or step.dropped),
    )

"""The older export: a walk over a snapshot, and the changes since a timestamp.

Owns what a page of each holds, and the snapshot's cursor, which is plain text as Convex's is. Never
keeps anything but a `Past`. One invariant: a walk at a snapshot and the changes since it, together,
are the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pyconvex.export.old_documents import OldDocuments
from pyconvex.export.past import Past
from pyconvex.export.refusal import ExportRefused
from pyconvex.export.selection import Columns, Selection
from pyconvex.export.tables import ExportTable
from pyconvex.export.wire_text import Rewrite, only_id, project, quoted
from pyconvex.storage import Reader
from pyconvex.values import InvalidId, ids

#: Documents of a page of a snapshot. Convex's has 1,024; who reads goes by `hasMore`.
SNAPSHOT_ROWS = 4_096
#: Log rows of a page of changes, those of other tables included. Convex's has 128.
DELTA_ROWS = 4_096
#: What ends either page, in bytes of documents.
PAGE_BYTES = 16 * 1024 * 1024
#: Convex's `LIST_SNAPSHOT_MAX_AGE_SECS`.
MAX_SNAPSHOT_AGE_NS = 5 * 24 * 3600 * 10**9


class _Place(msgspec.Struct, frozen=True):
    """The cursor of a walk: the table, and the id of the last document; the id may be empty."""

    tablet: str
    id: str


class _SnapshotEnd(msgspec.Struct, frozen=True, rename="camel"):
    snapshot: int
    cursor: str | None
    has_more: bool


class _DeltasEnd(msgspec.Struct, frozen=True, rename="camel"):
    cursor: int
    has_more: bool


class _Chosen(NamedTuple):
    table: ExportTable
    columns: Columns
    rewrite: Rewrite

    def row(self, ts: int, doc: bytes, *, deleted: bool | None = None, old: bytes = b"") -> bytes:
        """A document with the fields that say what it is."""
        text = doc if deleted else self.text(doc)
        told = b"" if deleted is None else b',"_deleted":' + (b"true" if deleted else b"false")
        if old:
            told += b',"_oldDocument":' + old
        component, name = quoted(self.table.component), quoted(self.table.name)
        head = b'{"_component":%b,"_table":%b,"_ts":%d%b' % (component, name, ts, told)
        return head + b"}" if text == b"{}" else head + b"," + text[1:]

    def text(self, doc: bytes) -> bytes:
        """The selected fields of a document, in the format that is asked for."""
        return self.rewrite(doc if self.columns.everything else project(doc, self.columns))


def choose(
    tables: Sequence[ExportTable], selection: Selection, rewrite: Rewrite
) -> dict[int, _Chosen]:
    """The selected tables by tablet, in their order."""
    return {
        table.tablet: _Chosen(table, columns, rewrite)
        for table in tables
        for columns in [selection.columns(table.component, table.name)]
        if columns is not None
    }


def check_snapshot(ts: int, head_ts: int, now_ns: int) -> None:
    """Raise `ExportRefused` when there is no walking at this timestamp."""
    if ts > head_ts:
        raise ExportRefused("SnapshotTooNew", "The snapshot is ahead of this deployment.")
    if ts < now_ns - MAX_SNAPSHOT_AGE_NS:
        raise ExportRefused(
            "SnapshotTooOld", "The snapshot is older than 5 days. Start again without one."
        )


def snapshot_page(
    reader: Reader, past: Past, chosen: dict[int, _Chosen], cursor: str | None
) -> list[bytes]:
    """A page of the walk, in pieces. Raises `ExportRefused`."""
    past.catch_up(reader)
    tablet, after = (0, b"") if cursor is None else _place(cursor)
    rows: list[bytes] = []
    size = 0
    for each in (each for number, each in chosen.items() if number >= tablet):
        start = after if each.table.tablet == tablet else b""
        found: list[tuple[bytes, int, bytes]] = []
        for row in past.walk(reader, each.table.tablet, start):
            if len(rows) + len(found) >= SNAPSHOT_ROWS or size >= PAGE_BYTES:
                rows += _rows(reader, past, each, found)
                last = found[-1][0] if found else start
                return _page(rows, _SnapshotEnd(past.ts, _cursor(each.table, last), True))
            found.append(row)
            size += len(row[2])
        rows += _rows(reader, past, each, found)
    return _page(rows, _SnapshotEnd(past.ts, None, False))


def deltas_page(
    reader: Reader, chosen: dict[int, _Chosen], cursor: int, *, tell_old: bool = False
) -> list[bytes]:
    """A page of changes behind a timestamp, in pieces; with `tell_old`, with what was before.

    Raises `ExportRefused`.
    """
    assert reader.head is not None
    check_window(reader, cursor)
    olds = _old_documents(reader, chosen, cursor) if tell_old else None
    rows: list[bytes] = []
    size = 0
    complete = cursor
    changes = reader.walk_revisions(cursor)
    for seen, (ts, tablet, id, doc) in zip(itertools.count(), changes, strict=False):
        if ts != complete:  # a transaction is never parted
            if seen >= DELTA_ROWS or size >= PAGE_BYTES:
                return _page(rows, _DeltasEnd(complete, True))
            complete = ts
        each = chosen.get(tablet)
        if each is None:
            continue
        old = b"" if olds is None else olds.text(ts, tablet, id, each.text)
        size += len(doc or b"") + len(old)
        value = only_id(each.table.number, id) if doc is None else doc
        rows.append(each.row(ts, value, deleted=doc is None, old=old))
    return _page(rows, _DeltasEnd(reader.head.ts, False))


def check_window(reader: Reader, ts: int) -> None:
    """Raise `ExportRefused` unless every change behind this timestamp is known."""
    assert reader.head is not None
    if ts < 0 or ts > reader.head.ts or not reader.knows_since(ts):
        raise ExportRefused(
            "InvalidWindowToReadDocuments",
            "The changes behind this timestamp are not known: it is too old, or ahead of this "
            "deployment. Start again with a snapshot.",
        )


def _old_documents(reader: Reader, chosen: dict[int, _Chosen], after_ts: int) -> OldDocuments:
    return OldDocuments(
        reader,
        after_ts,
        lambda tablet, id: tablet in chosen,
        entries=DELTA_ROWS,
        rows_read=DELTA_ROWS,
    )


def _rows(
    reader: Reader, past: Past, each: _Chosen, found: list[tuple[bytes, int, bytes]]
) -> list[bytes]:
    versions = past.fill(reader, each.table.tablet, found)
    return [each.row(version.ts, version.doc) for version in versions]


def _page(rows: list[bytes], end: msgspec.Struct) -> list[bytes]:
    return [b'{"values":[', b",".join(rows), b"],", msgspec.json.encode(end)[1:]]


def _cursor(table: ExportTable, last: bytes) -> str:
    id = ids.encode_id(table.number, last) if last else ""
    return msgspec.json.encode(_Place(str(table.tablet), id)).decode()


def _place(cursor: str) -> tuple[int, bytes]:
    try:
        place = msgspec.json.decode(cursor, type=_Place)
        return int(place.tablet), ids.decode_id(place.id).internal if place.id else b""
    except (msgspec.DecodeError, ValueError, InvalidId):
        raise ExportRefused(
            "InvalidListSnapshotCursor",
            "The cursor is not one of /api/list_snapshot. Start again without one.",
        ) from None

"""One answer of a deployment, in the terms of the sync: whichever of Convex's two exports gave it.

Owns positions in both exports, the requests that continue from them, and what their answers mean.
Never keeps anything between two calls. Invariant: a position belongs to one phase of one export,
so no cursor is ever sent where another kind is expected.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable

import msgspec

from posthog_convex.warehouse.documents import legacy_json
from posthog_convex.warehouse.documents.decoding import Revisions
from posthog_convex.warehouse.refusal import corrupt
from posthog_convex.warehouse.source.wire import (
    DataSyncPage,
    DeltasPage,
    Entry,
    SnapshotPage,
    read,
)
from posthog_convex.warehouse.tables.ref import TableRef
from posthog_convex.warehouse.tables.selection import Selection


class SyncPosition(msgspec.Struct, frozen=True, tag="data_sync"):
    """In a data sync: the deployment's sealed cursor. None begins one."""

    cursor: str | None = None


class Format(enum.Enum):
    """How a legacy answer writes values; older backends know only the second lossless form."""

    EXPORT = "export_json"
    ENCODED = "convex_encoded_json"


class WalkPosition(msgspec.Struct, frozen=True, tag="list_snapshot"):
    """In a legacy walk over all tables as they were at `snapshot`. None begins one."""

    snapshot: int | None = None
    cursor: str | None = None
    format: Format = Format.EXPORT


class DeltasPosition(msgspec.Struct, frozen=True, tag="document_deltas"):
    """In the legacy stream of changes: everything up to this timestamp is held."""

    ts: int
    format: Format = Format.EXPORT


Position = SyncPosition | WalkPosition | DeltasPosition


class Extras(msgspec.Struct, frozen=True):
    """What this project's own host offers beyond Convex, and a request may ask for."""

    wait_s: float = 0.0
    page_size: int | None = None


class Request(msgspec.Struct, frozen=True):
    """A question to the deployment: a path, and a JSON body or nothing."""

    method: str
    path: str
    body: bytes | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer says, in the order in which it is applied: truncates, then revisions."""

    truncates: tuple[TableRef, ...]
    revisions: dict[TableRef, Revisions]
    position: Position
    #: All tables together are the deployment's state at this timestamp. None: not now.
    snapshot_ts: int | None
    #: There is nothing more for now.
    idle: bool
    #: Tables that no longer are. None: the answer does not say.
    dropped: tuple[TableRef, ...] | None = None
    #: How long the position is good for. None: the answer does not say.
    retention_s: int | None = None

    @property
    def rows(self) -> int:
        return sum(len(revisions.ts) for revisions in self.revisions.values())


LISTING = Request("GET", "/api/get_table_column_names")


def request(position: Position, selection: Selection, extras: Extras | None = None) -> Request:
    """The question that continues from a position."""
    match position:
        case SyncPosition(cursor):
            wire = selection.wire()
            body = {
                **({} if cursor is None else {"cursor": cursor}),
                **({} if wire is None else {"selection": wire}),
                **({} if extras is None else _extras(extras)),
            }
            return Request("POST", "/api/v1/data/sync", msgspec.json.encode(body))
        case WalkPosition(snapshot, walk, format):
            body = {"format": format.value}
            if snapshot is not None:
                body |= {"snapshot": snapshot, "cursor": walk}
            return Request("POST", "/api/list_snapshot", msgspec.json.encode(body))
        case DeltasPosition(ts, format):
            body = {"format": format.value, "cursor": ts}
            return Request("POST", "/api/document_deltas", msgspec.json.encode(body))


def step(position: Position, body: bytes, selection: Selection) -> Step:
    """What the answer to `request(position, …)` says. Raises SyncRefused for no such answer."""
    try:
        match position:
            case SyncPosition():
                return _data_sync(read(body, DataSyncPage))
            case WalkPosition(format=format):
                return _walk(read(body, SnapshotPage), selection, format)
            case DeltasPosition(format=format):
                return _deltas(read(body, DeltasPage), selection, format)
    except (msgspec.DecodeError, ValueError, struct.error) as error:
        raise corrupt(str(error)) from None


def _extras(extras: Extras) -> dict[str, object]:
    asked: dict[str, object] = {"tellDropped": True, "tellRetention": True}
    if extras.wait_s:
        asked["wait"] = extras.wait_s
    if extras.page_size is not None:
        asked["pageSize"] = extras.page_size
    return asked


def _data_sync(page: DataSyncPage) -> Step:
    return Step(
        truncates=tuple(page.truncates),
        revisions=grouped(page.values),
        position=SyncPosition(page.pagination.next_cursor),
        snapshot_ts=page.status.snapshot_ts if page.status.type != "snapshotting" else None,
        idle=page.status.type == "upToDate",
        dropped=None if page.dropped is None else tuple(page.dropped),
        retention_s=page.retention,
    )


def _walk(page: SnapshotPage, selection: Selection, format: Format) -> Step:
    entries = _entries(page.values, selection, format)
    return Step(
        truncates=(),
        revisions=grouped(entries),
        position=WalkPosition(page.snapshot, page.cursor, format)
        if page.has_more
        else DeltasPosition(page.snapshot, format),
        snapshot_ts=None if page.has_more else page.snapshot,
        idle=False,
    )


def _deltas(page: DeltasPage, selection: Selection, format: Format) -> Step:
    return Step(
        truncates=(),
        revisions=grouped(_entries(page.values, selection, format)),
        position=DeltasPosition(page.cursor, format),
        snapshot_ts=page.cursor,
        idle=not page.has_more,
    )


def grouped(entries: Iterable[Entry]) -> dict[TableRef, Revisions]:
    """Revisions by table, each table's in the order in which they came."""
    groups: dict[TableRef, Revisions] = {}
    last: tuple[str, str] | None = None
    group = Revisions([], [], [])
    for entry in entries:
        key = (entry.component, entry.table)
        if key != last:
            group = groups.setdefault(TableRef(*key), Revisions([], [], []))
            last = key
        group.ts.append(entry.ts)
        group.deleted.append(entry.deleted)
        group.documents.append(entry.value)
    return groups


_METADATA = ("_component", "_table", "_ts", "_deleted")


def _entries(
    rows: list[dict[str, msgspec.Raw]], selection: Selection, format: Format
) -> Iterable[Entry]:
    for row in rows:
        component, table, ts, deleted = (row.pop(name, None) for name in _METADATA)
        ref = TableRef(
            "" if component is None else msgspec.json.decode(component, type=str),
            msgspec.json.decode(table or b"", type=str),
        )
        if not selection.allows(ref):
            continue
        for field in selection.hidden_fields(ref):
            row.pop(field, None)
        document = msgspec.json.encode(row)
        if format is Format.ENCODED:
            document = legacy_json.exported(document)
        yield Entry(
            ref.component,
            ref.table,
            msgspec.json.decode(ts or b"", type=int),
            deleted is not None and bytes(deleted) == b"true",
            msgspec.Raw(document),
        )

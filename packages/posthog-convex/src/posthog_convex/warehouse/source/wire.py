"""The answers of Convex's export endpoints, typed, as they come over the wire.

Owns their shapes and the reading of bytes into them. Never decides what follows from an answer.
Invariant: a document stays the deployment's own text until its table's columns are known.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from posthog_convex.warehouse.refusal import corrupt
from posthog_convex.warehouse.tables.ref import TableRef

_Shape = TypeVar("_Shape")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One revision of a document; of a deleted one the value holds `_id` alone."""

    component: str
    table: str
    ts: int
    deleted: bool
    value: msgspec.Raw


class Status(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Where a data sync stands: only the two that carry a timestamp make a whole snapshot."""

    type: Literal["snapshotting", "stale", "upToDate"]
    snapshot_ts: int | None = None


class Pagination(msgspec.Struct, frozen=True, rename="camel", gc=False):
    has_more: bool
    next_cursor: str


class DataSyncPage(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An answer of `POST /api/v1/data/sync`.

    `dropped` and `retention`, in seconds, are what this host adds; None where it does not say, and
    None is not "no table".
    """

    status: Status
    truncates: list[TableRef]
    values: list[Entry]
    sync_id: str
    pagination: Pagination
    dropped: list[TableRef] | None = None
    retention: int | None = None


class SnapshotPage(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An answer of the legacy `/api/list_snapshot`."""

    values: list[dict[str, msgspec.Raw]]
    snapshot: int
    has_more: bool
    cursor: str | None = None


class DeltasPage(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An answer of the legacy `/api/document_deltas`."""

    values: list[dict[str, msgspec.Raw]]
    cursor: int
    has_more: bool


class TableColumns(msgspec.Struct, frozen=True, gc=False):
    name: str
    columns: list[str] = []


class TableListing(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An answer of `/api/get_table_column_names`."""

    by_component: dict[str, list[TableColumns]]

    def tables(self) -> frozenset[TableRef]:
        return frozenset(
            TableRef(component, table.name)
            for component, tables in self.by_component.items()
            for table in tables
        )


class ErrorBody(msgspec.Struct, frozen=True, gc=False):
    code: str = ""
    message: str = ""


_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    shape: msgspec.json.Decoder(shape)
    for shape in (DataSyncPage, SnapshotPage, DeltasPage, TableListing)
}


def read(body: bytes, shape: type[_Shape]) -> _Shape:
    """The body of a good answer. Raises SyncRefused for bytes that are no such answer."""
    try:
        answer: _Shape = _DECODERS[shape].decode(body)
    except msgspec.DecodeError as error:
        if body.lstrip()[:1] == b"<":
            raise corrupt(f"it is a page of HTML ({len(body)} bytes)") from None
        raise corrupt(f"{error} ({len(body)} bytes)") from None
    return answer


def read_error(body: bytes) -> ErrorBody:
    """Convex's `{code, message}`, or empty where something else answered (a proxy's page)."""
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        return ErrorBody()

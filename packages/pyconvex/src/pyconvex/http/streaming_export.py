"""Convex's older export over HTTP: snapshots, changes, and what tables look like.

Owns these endpoints and how their arguments are read, from a query or a body. Never makes a page.
One invariant: administrators only.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from pyconvex.export import (
    ColumnNames,
    CursorFromDeltas,
    DocumentDeltas,
    Exporter,
    JsonSchemas,
    ListSnapshot,
    SelectionText,
)
from pyconvex.http.caller import Callers
from pyconvex.http.data_sync import accepts_gzip, json_body, response_of, sync_id_for
from pyconvex.http.exchange import Request, RequestError, Response, json

_Form = TypeVar("_Form")

_DEFAULT_FORMAT = "json"
_Timestamp = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Args(msgspec.Struct, frozen=True, kw_only=True):
    """Which tables, and in which format; the table's name comes in either spelling."""

    format: str | None = None
    component: str | None = None
    table_name: str | None = None
    tableName: str | None = None  # as it is sent
    selection: msgspec.Raw = msgspec.Raw()

    def chosen(self, *, by_body: bool) -> SelectionText:
        """What is asked for. A selection is read from bodies alone: Convex passes over others."""
        if by_body and bytes(self.selection):
            return SelectionText(bytes(self.selection))
        return SelectionText(None, self.component, self.table_name or self.tableName)


class _SnapshotArgs(_Args, frozen=True, kw_only=True):
    snapshot: _Timestamp | None = None
    cursor: str | None = None


class _DeltasArgs(_Args, frozen=True, kw_only=True):
    cursor: _Timestamp | None = None
    tellOldDocument: bool = False  # as it is sent


class _ConversionArgs(msgspec.Struct, frozen=True):
    cursor: _Timestamp
    selection: msgspec.Raw = msgspec.Raw()


class StreamingExportRoutes:
    """Answers the older endpoints; `surveyor` is asked what tables look like."""

    def __init__(
        self,
        callers: Callers,
        exporter: Exporter,
        surveyor: Exporter,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        new_sync_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._callers = callers
        self._exporter = exporter
        self._surveyor = surveyor
        self._now_ns = now_ns
        self._new_sync_id = new_sync_id

    async def list_snapshot(self, request: Request) -> Response:
        """`GET` and `POST /api/list_snapshot`: documents as they were at a timestamp."""
        await self._callers.admin(request)
        args = await _args(request, _SnapshotArgs)
        asked = ListSnapshot(
            args.snapshot,
            args.cursor,
            args.chosen(by_body=request.method == "POST"),
            args.format or _DEFAULT_FORMAT,
            self._now_ns(),
            accepts_gzip(request),
        )
        return response_of(await self._exporter.answer(asked))

    async def document_deltas(self, request: Request) -> Response:
        """`GET` and `POST /api/document_deltas`: what changed after a timestamp."""
        await self._callers.admin(request)
        args = await _args(request, _DeltasArgs)
        if args.cursor is None:
            raise RequestError(
                400, "DocumentDeltasCursorRequired", "/api/document_deltas requires a cursor"
            )
        asked = DocumentDeltas(
            args.cursor,
            args.chosen(by_body=request.method == "POST"),
            args.format or _DEFAULT_FORMAT,
            accepts_gzip(request),
            args.tellOldDocument,
        )
        return response_of(await self._exporter.answer(asked))

    async def cursor_from_deltas(self, request: Request) -> Response:
        """`POST /api/data_sync_cursor_from_deltas`: go on with data sync from a timestamp."""
        await self._callers.admin(request)
        args = await json_body(request, _ConversionArgs)
        chosen = SelectionText(bytes(args.selection) or None)
        asked = CursorFromDeltas(args.cursor, chosen, sync_id_for(request, self._new_sync_id()))
        return response_of(await self._exporter.answer(asked))

    async def json_schemas(self, request: Request) -> Response:
        """`GET /api/json_schemas`."""
        await self._callers.admin(request)
        asked = JsonSchemas(
            request.query.get("format", _DEFAULT_FORMAT),
            _flag(request, "deltaSchema"),
            _flag(request, "byComponent"),
        )
        return response_of(await self._surveyor.answer(asked))

    async def column_names(self, request: Request) -> Response:
        """`GET /api/get_table_column_names`."""
        await self._callers.admin(request)
        return response_of(await self._surveyor.answer(ColumnNames()))

    async def test_connection(self, request: Request) -> Response:
        """`GET /api/test_streaming_export_connection`: 200 for whoever may export."""
        await self._callers.admin(request)
        return json(None)


async def _args(request: Request, form: type[_Form]) -> _Form:
    """The arguments, from the body of a POST or from the query."""
    if request.method == "POST":
        return await json_body(request, form)
    given = {name: value for name, value in request.query.items() if name != "selection"}
    try:
        return msgspec.convert(given, form, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError(
            400, "BadQueryParameter", f"Could not read the query: {error}."
        ) from None


def _flag(request: Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in ("true", "false"):
        raise RequestError(
            400, "BadQueryParameter", f"The parameter `{name}` must be `true` or `false`."
        )
    return text == "true"

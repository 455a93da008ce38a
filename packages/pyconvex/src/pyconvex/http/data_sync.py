"""Data sync over HTTP: the pages of a deployment's tables, and which syncs there are.

Owns these endpoints, their bodies and their optional fields. Never makes a page. One invariant:
administrators only.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pyconvex.export import (
    ActiveSync,
    ActiveSyncs,
    Answer,
    CountDocuments,
    DataSync,
    Exporter,
    Progress,
    SelectionText,
)
from pyconvex.http.caller import Callers
from pyconvex.http.exchange import Request, RequestError, Response, json

T = TypeVar("T")

#: A selection of ten thousand tables, and a cursor with as many.
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_PAGE_SIZE = 16_384
#: How long a request may ask to be held, in seconds; proxies cut what is silent for a minute.
MAX_WAIT_S = 50.0
#: Between two looks while a request is held and others commit, in seconds.
LOOK_S = 0.05
MAX_SYNCS_LISTED = 100

_LINES = "application/x-ndjson"


class SyncBody(msgspec.Struct, frozen=True, rename="camel"):
    """What a request for a page says. The first two are Convex's, the others this host's own."""

    cursor: str | None = None
    selection: msgspec.Raw = msgspec.Raw()
    #: Hold an answer that would tell nothing for up to so many seconds, until there is something.
    wait: float = 0.0
    #: At most so many entries, but for the last transaction's.
    page_size: int | None = None
    #: Tell tables that are gone in `dropped`.
    tell_dropped: bool = False
    #: Tell how long a cursor stays good, in seconds, as `retention`.
    tell_retention: bool = False
    #: Tell what a document was before each change, as `oldDocument`.
    tell_old_document: bool = False


class DataSyncRoutes:
    """Answers data syncs."""

    def __init__(
        self,
        callers: Callers,
        exporter: Exporter,
        active: ActiveSyncs,
        *,
        new_sync_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._callers = callers
        self._exporter = exporter
        self._active = active
        self._new_sync_id = new_sync_id

    async def sync(self, request: Request) -> Response:
        """`POST /api/v1/data/sync`: the next page."""
        await self._callers.admin(request)
        body = await json_body(request, SyncBody)
        _check(body)
        asked = DataSync(
            cursor=body.cursor,
            selection=SelectionText(bytes(body.selection) or None),
            sync_id=sync_id_for(request, self._new_sync_id()),
            page_size=body.page_size,
            lines=_LINES in (request.header(b"accept") or ""),
            tell_dropped=body.tell_dropped,
            tell_retention=body.tell_retention,
            gzip=accepts_gzip(request),
            tell_old_document=body.tell_old_document,
        )
        answer = await self._page(asked, body.wait)
        if answer.head.progress is not None:
            await self._active.note(answer.head.progress)
        return response_of(answer)

    async def list_active(self, request: Request) -> Response:
        """`GET /api/v1/data/list_active_syncs?limit=&cursor=`."""
        await self._callers.admin(request)
        limit = _whole(request.query.get("limit", "50"), "limit")
        if not 1 <= limit <= MAX_SYNCS_LISTED:
            raise RequestError(400, "LimitOutOfRange", "The limit must be between 1 and 100.")
        start = _whole(request.query.get("cursor", "0"), "cursor")
        syncs = self._active.latest()
        shown = [await self._described(sync) for sync in syncs[start : start + limit]]
        end = start + len(shown)
        more = end < len(syncs)
        pagination = {"hasMore": more, "nextCursor": str(end) if more else None}
        return json({"syncs": shown, "pagination": pagination})

    async def one_active(self, request: Request) -> Response:
        """`GET /api/v1/data/sync/{id}`: one of them."""
        await self._callers.admin(request)
        for sync in self._active.latest():
            if sync.progress.sync_id == request.id:
                return json(await self._described(sync))
        raise RequestError(
            404, "DataSyncNotFound", "No data sync with this id got a page in the last three days."
        )

    async def _described(self, sync: ActiveSync) -> dict[str, Any]:
        return {
            "syncId": sync.progress.sync_id,
            "lastUpdated": sync.last_updated_ms,
            "status": await self._status(sync.progress),
        }

    async def _page(self, asked: DataSync, wait_s: float) -> Answer:
        """The next page; one without news only when nothing came for `wait_s`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            answer = await self._exporter.answer(asked)
            told = answer.head.progress
            if told is None or told.news or told.begins or told.status != "upToDate":
                return answer
            try:
                async with asyncio.timeout_at(until):
                    await self._exporter.change(answer.head.as_of_ts)
                    await asyncio.sleep(LOOK_S)
            except TimeoutError:
                return answer

    async def _status(self, progress: Progress) -> dict[str, Any]:
        """How far a sync is; while it has not seen all documents, of how many."""
        if progress.status != "snapshotting":
            return {
                "type": progress.status,
                "totalTables": len(progress.tables),
                "numDocumentsSynced": progress.documents,
                "syncedTs": progress.snapshot_ts,
            }
        answer = await self._exporter.answer(CountDocuments((*progress.tables, progress.tablet)))
        *counts, current = msgspec.json.decode(answer.body, type=list[int])
        return {
            "type": progress.status,
            "numTablesSynced": progress.tables_synced,
            "totalTables": len(progress.tables),
            "currentComponent": progress.component or "",
            "currentTable": progress.table or "",
            "numDocumentsInCurrentTable": progress.documents_in_table,
            "totalDocumentsInCurrentTable": current,
            "numDocumentsSynced": progress.documents,
            "totalDocuments": sum(counts),
        }


def sync_id_for(request: Request, new_id: str) -> str:
    """The id of a sync that begins; some connectors are told by it."""
    name = (request.header(b"convex-client") or "").split("-export-")[0]
    return f"{name}-{new_id}" if name in ("fivetran", "airbyte") else new_id


async def json_body(request: Request, form: type[T]) -> T:
    """The body, which must be JSON of this form and say so."""
    content_type = (request.header(b"content-type") or "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise RequestError(
            400, "BadJsonBody", "Expected request with `Content-Type: application/json`."
        )
    body = await request.body(MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, "BadJsonBody", f"Could not read the body: {error}.") from None


def accepts_gzip(request: Request) -> bool:
    """Whether the client takes gzip."""
    for part in (request.header(b"accept-encoding") or "").split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def response_of(answer: Answer) -> Response:
    """An answer of the export process, as it leaves."""
    head = answer.head
    headers = ((b"content-encoding", head.encoding.encode()),) if head.encoding else ()
    vary = ((b"vary", b"Accept, Accept-Encoding"),)
    return Response(200, answer.body, head.content_type.encode(), (*headers, *vary))


def _check(body: SyncBody) -> None:
    if body.page_size is not None and not 1 <= body.page_size <= MAX_PAGE_SIZE:
        message = f"The page size must be between 1 and {MAX_PAGE_SIZE}."
        raise RequestError(400, "LimitOutOfRange", message)
    if not 0 <= body.wait <= MAX_WAIT_S:
        message = f"`wait` must be between 0 and {MAX_WAIT_S:g} seconds."
        raise RequestError(400, "LimitOutOfRange", message)


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        message = f"The parameter `{name}` must be a whole number, not {text[:40]!r}."
        raise RequestError(400, "BadQueryParameter", message)
    return int(text)

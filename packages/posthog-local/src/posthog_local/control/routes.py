"""The control API: look at what arrived, wait for it, set flags, break things, start over.

Owns the JSON of `/_local/`. Nothing here exists in PostHog; tests and the command line use it. Bad
input is answered with 400 and a sentence in `detail`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from tempfile import TemporaryFile
from typing import IO, Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from posthog_local.control.views import (
    event_json,
    issue_json,
    log_json,
    person_json,
    recording_json,
    timeline_json,
    warning_json,
)
from posthog_local.flags.definition import InvalidDefinition
from posthog_local.http.faults import Fault, FaultBook
from posthog_local.store import dump, shelves
from posthog_local.store.dump import InvalidDump
from posthog_local.store.reader import EventFilter
from posthog_local.store.shelves.logs import LogFilter
from posthog_local.store.store import Store
from posthog_local.store.views import View

T = TypeVar("T")
_Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_MAX_WAIT_S = 60.0
_MAX_EVENTS = 10_000
_CHUNK_BYTES = 256 * 1024
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


class BadRequest(Exception):
    """The control request makes no sense; the message says why."""


class _FlagSet(msgspec.Struct, frozen=True):
    flags: list[dict[str, Any]]
    cohorts: dict[str, dict[str, Any]] = {}


class ControlRoutes:
    """Handlers of the control API over the store and the faults."""

    def __init__(self, store: Store, faults: FaultBook) -> None:
        self._store = store
        self._faults = faults

    def routes(self) -> list[Route]:
        """Every control route."""
        return [
            _route("/_local/ready", self.ready, "GET"),
            _route("/_local/events", self.events, "GET"),
            _route("/_local/timeline", self._asked(self.timeline), "GET"),
            _route("/_local/logs", self._asked(self.logs), "GET"),
            _route("/_local/issues", self._asked(self.issues), "GET"),
            _route("/_local/recordings", self._asked(self.recordings), "GET"),
            _route("/_local/recordings/{session_id}", self._asked(self.recording), "GET"),
            _route("/_local/persons", self._asked(self.persons), "GET"),
            _route("/_local/warnings", self._asked(self.warnings), "GET"),
            _route("/_local/reset", self.reset, "POST"),
            _route("/_local/export", self.export, "GET"),
            _route("/_local/import", self.load, "POST"),
            _route("/_local/flags", self.flags, "GET"),
            _route("/_local/flags", self.put_flags, "PUT"),
            _route("/_local/flags/{key:path}", self.flag, "GET"),
            _route("/_local/flags/{key:path}", self.put_flag, "PUT"),
            _route("/_local/flags/{key:path}", self.delete_flag, "DELETE"),
            _route("/_local/faults", self.faults, "GET"),
            _route("/_local/faults", self.add_fault, "POST"),
            _route("/_local/faults", self.remove_faults, "DELETE"),
            _route("/_local/faults/{number:int}", self.remove_faults, "DELETE"),
        ]

    async def ready(self, request: Request) -> Response:
        return _json({"ready": True})

    async def events(self, request: Request) -> Response:
        wanted = EventFilter(
            event=request.query_params.get("event"),
            distinct_id=request.query_params.get("distinct_id"),
            uuid=_uuid(request),
            after_seq=int(_number(request, "after", 0, 2**53)),
        )
        found = await self._store.wait_for_events(
            wanted,
            count=int(_number(request, "count", 1, _MAX_EVENTS)),
            limit=int(_number(request, "limit", 100, _MAX_EVENTS)),
            wait_s=_number(request, "wait", 0, _MAX_WAIT_S),
        )
        return await self._store.read(
            lambda view: _json(
                {
                    "events": [event_json(event) for event in found],
                    "last_seq": view.events.last_seq(),
                }
            )
        )

    def timeline(self, view: View, request: Request) -> Response:
        distinct_id = _required(request, "distinct_id")
        limit = int(_number(request, "limit", 1000, _MAX_EVENTS))
        person = view.events.person(distinct_id)
        events = view.events.timeline(distinct_id, limit)
        logs = view.logs.timeline(distinct_id, limit)
        recordings = view.recordings.of_person(distinct_id, limit)
        return _json(
            {
                "person": None if person is None else person_json(person),
                "timeline": timeline_json(events, logs, recordings),
            }
        )

    def persons(self, view: View, request: Request) -> Response:
        distinct_id = request.query_params.get("distinct_id")
        if distinct_id is None:
            found = view.events.persons(int(_number(request, "limit", 100, _MAX_EVENTS)))
        else:
            found = [one for one in [view.events.person(distinct_id)] if one is not None]
        return _json({"persons": [person_json(person) for person in found]})

    def logs(self, view: View, request: Request) -> Response:
        wanted = LogFilter.of(request.query_params)
        limit = int(_number(request, "limit", 100, _MAX_EVENTS))
        return _json({"logs": [log_json(one) for one in view.logs.latest(wanted, limit)]})

    def issues(self, view: View, request: Request) -> Response:
        found = view.issues.latest(int(_number(request, "limit", 100, _MAX_EVENTS)))
        return _json({"issues": [issue_json(issue) for issue in found]})

    def recordings(self, view: View, request: Request) -> Response:
        limit = int(_number(request, "limit", 100, _MAX_EVENTS))
        found = view.recordings.latest(limit)
        return _json({"recordings": [recording_json(one) for one in found]})

    def recording(self, view: View, request: Request) -> Response:
        events = view.recordings.events(request.path_params["session_id"])
        return _json({"events": [{"window_id": window, "event": item} for window, item in events]})

    def warnings(self, view: View, request: Request) -> Response:
        limit = int(_number(request, "limit", 100, _MAX_EVENTS))
        found = shelves.warnings.latest(view.connection, limit, request.query_params.get("kind"))
        return _json({"warnings": [warning_json(warning) for warning in found]})

    async def reset(self, request: Request) -> Response:
        keep_flags = request.query_params.get("keep_flags") == "true"
        self._faults.remove()
        await self._store.reset(keep_flags=keep_flags)
        return _json({"reset": True})

    async def export(self, request: Request) -> Response:
        file = TemporaryFile()  # noqa: SIM115  # closed when it was sent
        try:
            await self._store.read(lambda view: dump.write(view.connection, file))
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return StreamingResponse(_chunks(file), media_type="application/jsonl", headers=_HEADERS)

    async def load(self, request: Request) -> Response:
        with TemporaryFile() as file:
            async for chunk in request.stream():
                file.write(chunk)
            file.seek(0)
            return _json({"rows": await self._store.change_flags(dump.load(file))})

    async def flags(self, request: Request) -> Response:
        book = self._store.flags
        return _json({"flags": book.flags, "cohorts": book.cohorts})

    async def put_flags(self, request: Request) -> Response:
        wanted = await _body(request, _FlagSet)
        if not all(number.isdigit() and len(number) < 10 for number in wanted.cohorts):
            raise BadRequest("cohorts are keyed by their number")
        await self._store.change_flags(
            shelves.flags.replace_all(wanted.flags, wanted.cohorts, _now_us())
        )
        return await self.flags(request)

    async def flag(self, request: Request) -> Response:
        flag = self._store.flags.get(request.path_params["key"])
        return _json(flag) if flag is not None else _error(404, "there is no such flag")

    async def put_flag(self, request: Request) -> Response:
        given = await _body(request, dict[str, Any])
        key = request.path_params["key"]
        if given.setdefault("key", key) != key:
            raise BadRequest("the key in the body is not the one in the path")
        return _json(await self._store.change_flags(shelves.flags.save(given, _now_us())))

    async def delete_flag(self, request: Request) -> Response:
        deleted = await self._store.change_flags(shelves.flags.delete(request.path_params["key"]))
        return _json({"deleted": deleted})

    async def faults(self, request: Request) -> Response:
        return _json({"faults": self._faults.list()})

    async def add_fault(self, request: Request) -> Response:
        return _json({"id": self._faults.add(await _body(request, Fault))})

    async def remove_faults(self, request: Request) -> Response:
        return _json({"removed": self._faults.remove(request.path_params.get("number"))})

    def _asked(self, question: Callable[[View, Request], Response]) -> _Handler:
        async def handler(request: Request) -> Response:
            return await self._store.read(lambda view: question(view, request))

        return handler


def _route(path: str, handler: _Handler, method: str) -> Route:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except (BadRequest, InvalidDefinition, InvalidDump) as error:
            return _error(400, str(error))

    return Route(path, guarded, methods=[method])


async def _body(request: Request, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=shape, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body does not have the expected shape: {error}") from error


def _required(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise BadRequest(f"the parameter {name} is missing")
    return value


def _number(request: Request, name: str, default: float, highest: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise BadRequest(f"{name} must be a number") from None
    if not 0 <= value <= highest:
        raise BadRequest(f"{name} must be between 0 and {highest:g}")
    return value


def _uuid(request: Request) -> str | None:
    text = request.query_params.get("uuid")
    try:
        return None if text is None else str(UUID(text))
    except ValueError:
        raise BadRequest("uuid is not a UUID") from None


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _now_us() -> int:
    return time.time_ns() // 1000


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value, enc_hook=str),
        status,
        headers=_HEADERS,
        media_type="application/json",
    )


def _error(status: int, detail: str) -> Response:
    return _json({"detail": detail}, status)

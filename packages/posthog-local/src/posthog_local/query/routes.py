"""The read routes of PostHog's API: who am I, the project, its persons and events, queries.

Owns paths, authentication, paging and shapes. Every answer is of the one project there is, whatever
id the path names. Writing happens through ingestion and the control API.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time, parse_time_us
from posthog_local.persons.ids import PROJECT_ID
from posthog_local.query.analyst import Analyst
from posthog_local.query.console import answer
from posthog_local.query.refusal import QueryRefused
from posthog_local.store.reader import EventFilter, StoredEvent, StoredPerson
from posthog_local.store.store import Store
from posthog_local.store.views import View

_GET = frozenset(["GET"])
_POST = frozenset(["POST"])
_EXAMPLE = '{"query": {"kind": "HogQLQuery", "query": "SELECT …"}}'
_MAX_QUERY_BYTES = 256 * 1024
_PREFIXES = ("/api/projects/{project}", "/api/environments/{project}")
_PAGE_SIZE = 100
_MAX_PAGE_SIZE = 1000
_UUID = "00000000-0000-4000-8000-000000000001"

_Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class _Query(msgspec.Struct, frozen=True):
    kind: str
    query: str = ""
    values: dict[str, str | int | float | bool | None] = {}


class _Asked(msgspec.Struct, frozen=True):
    query: _Query


class ReadRoutes:
    """Handlers over the store; `secrets` open them, `project_token` is shown."""

    def __init__(
        self, store: Store, analyst: Analyst, secrets: Sequence[str], project_token: str
    ) -> None:
        self._store = store
        self._analyst = analyst
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._project = {
            "id": PROJECT_ID,
            "uuid": _UUID,
            "name": "PostHog Local",
            "api_token": project_token,
            "timezone": "UTC",
        }

    def endpoints(self) -> Iterable[Endpoint]:
        """Every read route."""
        yield self._endpoint(("/api/users/@me",), self.me)
        yield self._endpoint(("/api/projects", "/api/environments"), self.projects)
        yield self._endpoint(_PREFIXES, self.project)
        yield self._endpoint(
            tuple(f"{one}/persons" for one in _PREFIXES), self._asked(self.persons)
        )
        yield self._endpoint(tuple(f"{one}/events" for one in _PREFIXES), self._asked(self.events))
        yield self._endpoint(tuple(f"{one}/query" for one in _PREFIXES), self.query, _POST)

    async def me(self, request: Request) -> Response:
        """The one user, who owns the one project."""
        organization = {"id": _UUID, "name": "PostHog Local"}
        return json_response(
            {
                "id": 1,
                "uuid": _UUID,
                "distinct_id": "posthog-local",
                "first_name": "Local",
                "email": "local@localhost",
                "team": self._project,
                "organization": organization,
            }
        )

    async def projects(self, request: Request) -> Response:
        """The list of projects."""
        return json_response(_page([self._project], None))

    async def project(self, request: Request) -> Response:
        """The project."""
        return json_response(self._project)

    def persons(self, view: View, request: Request) -> Response:
        """Persons, the newest first, or the one with a distinct id."""
        distinct_id = request.query.get("distinct_id")
        if distinct_id is None:
            found = view.events.persons(_limit(request))
        else:
            found = [one for one in [view.events.person(distinct_id)] if one is not None]
        return json_response(_page([_person(one) for one in found], None))

    def events(self, view: View, request: Request) -> Response:
        """Events, the last to arrive first, by name, person and time."""
        limit = _limit(request)
        wanted = EventFilter(
            event=request.query.get("event"),
            distinct_id=request.query.get("distinct_id"),
            after_us=_time(request, "after"),
            before_us=_time(request, "before"),
        )
        found = view.events.latest_events(wanted, limit)
        return json_response(_page([_event(one) for one in found], None))

    async def query(self, request: Request) -> Response:
        """One query of PostHog's SQL."""
        try:
            asked = msgspec.json.decode(request.body, type=_Asked).query
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the body must be {_EXAMPLE}: {error}") from error
        if asked.kind != "HogQLQuery":
            raise ValueError(f"queries of kind {asked.kind!r} are not supported; HogQLQuery is")
        result = await answer(self._analyst, asked.query, asked.values)
        now = format_time(time.time_ns() // 1000)
        return json_response(
            {
                "results": result.results,
                "columns": result.columns,
                "types": result.types,
                "query": asked.query,
                "hogql": asked.query,
                "clickhouse": result.sql,
                "hasMore": result.has_more,
                "limit": result.limit,
                "offset": result.offset,
                "timings": [],
                "is_cached": False,
                "last_refresh": now,
                "error": None,
            }
        )

    def _asked(self, question: Callable[[View, Request], Response]) -> _Handler:
        async def handler(request: Request) -> Response:
            return await self._store.read(lambda view: question(view, request))

        return handler

    def _endpoint(
        self, paths: tuple[str, ...], handler: _Handler, methods: frozenset[str] = _GET
    ) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if not self._is_secret(request.header("authorization")):
                return _error(401, "authentication_error", "authentication_failed", _NO_KEY)
            try:
                return await handler(request)
            except (ValueError, QueryRefused) as error:
                return _error(400, "validation_error", "invalid_input", str(error))

        size = 0 if methods == _GET else _MAX_QUERY_BYTES
        return Endpoint(paths=paths, handler=guarded, max_body_bytes=size, methods=methods)

    def _is_secret(self, authorization: str) -> bool:
        given = authorization.removeprefix("Bearer").strip().encode()
        return sum(hmac.compare_digest(given, secret) for secret in self._secrets) > 0


_NO_KEY = "Send the secret key or the personal API key of this server as a Bearer token."


def _limit(request: Request) -> int:
    text = request.query.get("limit", str(_PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 6):
        raise ValueError("limit must be a whole number")
    return min(int(text), _MAX_PAGE_SIZE)


def _time(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    time_us = parse_time_us(text)
    if time_us is None:
        raise ValueError(f"{name} must be an ISO 8601 time")
    return time_us


def _page(results: list[dict[str, Any]], following: str | None) -> dict[str, Any]:
    return {"count": len(results), "next": following, "previous": None, "results": results}


def _person(person: StoredPerson) -> dict[str, Any]:
    name = person.properties.get("email") or person.properties.get("name")
    return {
        "id": person.id,
        "uuid": person.id,
        "name": name if isinstance(name, str) else next(iter(person.distinct_ids), ""),
        "distinct_ids": person.distinct_ids,
        "properties": person.properties,
        "is_identified": person.is_identified,
        "created_at": format_time(person.created_at_us),
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "id": event.uuid,
        "distinct_id": event.distinct_id,
        "event": event.event,
        "timestamp": format_time(event.timestamp_us),
        "properties": event.properties,
        "person": {"distinct_ids": [event.distinct_id], "uuid": event.person_id},
        "elements_chain": event.properties.get("$elements_chain") or "",
    }


def _error(status: int, kind: str, code: str, detail: str) -> Response:
    body = {"type": kind, "code": code, "detail": detail, "attr": None}
    return Response(status=status, body=msgspec.json.encode(body))

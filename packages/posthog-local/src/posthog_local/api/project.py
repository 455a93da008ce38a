"""Who asks, which project this is, and queries.

Owns the routes that command lines and agents call first. There is one user, one organization and
one project, and they never change.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

import msgspec

from posthog_local.api.door import ApiError, Door, body_of, page
from posthog_local.api.eventrows import EventsNode, event_rows
from posthog_local.api.experiments import ExperimentNode, experiment
from posthog_local.api.insights import answer_of, insight
from posthog_local.api.nodes import InsightNode, SqlFilters
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.persons.ids import PROJECT_ID
from posthog_local.query.analyst import Analyst
from posthog_local.query.console import answer
from posthog_local.query.insights import Insights
from posthog_local.store.store import Store

T = TypeVar("T")

# Nodes that say how something is shown, around what is asked.
_SHOWING = ("InsightVizNode", "DataVisualizationNode", "DataTableNode")
_UUID = "00000000-0000-4000-8000-000000000001"
_EXAMPLE = '{"query": {"kind": "HogQLQuery", "query": "SELECT …"}}'
USER = {
    "id": 1,
    "uuid": _UUID,
    "distinct_id": "posthog-local",
    "first_name": "Local",
    "email": "local@localhost",
}
_ORGANIZATION: dict[str, Any] = {"id": _UUID, "name": "PostHog Local", "slug": "posthog-local"}


_Value: TypeAlias = str | int | float | bool | None


class _Variable(msgspec.Struct, frozen=True):
    code_name: str
    value: _Value | list[_Value] = None


class _Query(msgspec.Struct, frozen=True):
    kind: str
    query: str = ""
    values: dict[str, _Value | list[_Value]] | None = None
    filters: SqlFilters | None = None
    variables: dict[str, _Variable] | None = None
    #: What is shown, of a node that says how.
    source: msgspec.Raw = msgspec.Raw()

    @property
    def filled(self) -> dict[str, Any]:
        """What fills placeholders, by the name that stands in them."""
        named = {f"variables.{one.code_name}": one.value
                 for one in (self.variables or {}).values()}  # fmt: skip
        return {**(self.values or {}), **named}


class _Asked(msgspec.Struct, frozen=True):
    query: msgspec.Raw


class ProjectApi:
    """Handlers over the project's token and its questions."""

    def __init__(self, store: Store, analyst: Analyst, project_token: str) -> None:
        self._store = store
        self._analyst = analyst
        self._project = {
            "id": PROJECT_ID,
            "uuid": _UUID,
            "organization": _UUID,
            "name": "PostHog Local",
            "api_token": project_token,
            "timezone": "UTC",
            "is_demo": False,
        }

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        yield door.endpoint(("/api/users/@me",), {"GET": self.me})
        yield door.endpoint(("/api/projects", "/api/environments"), {"GET": self.projects})
        yield door.endpoint(("/api/organizations",), {"GET": self.organizations})
        yield door.endpoint(("/api/organizations/{organization}",), {"GET": self.organization})
        yield door.of_project("", GET=self.project)
        yield door.of_project("/query", POST=self.query)

    async def me(self, request: Request) -> Response:
        """The one user."""
        there = {"team": self._project, "organization": self._organization()}
        return json_response({**USER, **there, "organizations": [_ORGANIZATION]})

    async def projects(self, request: Request) -> Response:
        """The list of projects."""
        return page(request, [self._project])

    async def project(self, request: Request) -> Response:
        """The project."""
        return json_response(self._project)

    async def organizations(self, request: Request) -> Response:
        """The list of organizations."""
        return page(request, [self._organization()])

    async def organization(self, request: Request) -> Response:
        """The organization."""
        return json_response(self._organization())

    async def query(self, request: Request) -> Response:
        """One query: PostHog's SQL, or one of its nodes."""
        now = format_time(time.time_ns() // 1000)
        try:
            raw = body_of(request, _Asked).query
            asked = _read(raw, _Query)
        except (ApiError, msgspec.ValidationError) as error:
            raise ApiError(400, "invalid_input", f"the body must be {_EXAMPLE}: {error}") from None
        if asked.kind in _SHOWING and bytes(asked.source):
            raw = asked.source
            asked = _read(raw, _Query)
        moment = datetime.now(UTC)
        if asked.kind == "EventsQuery":
            rows = await event_rows(
                _read(raw, EventsNode), self._analyst, self._store.flags.cohorts, moment
            )
            return json_response({**answer_of([], now), **rows})
        if asked.kind == "ExperimentQuery":
            insights = Insights(self._analyst, self._store.flags.cohorts, moment)
            told = await experiment(_read(raw, ExperimentNode), self._store, insights)
            return json_response({**answer_of([], now), **told})
        if asked.kind != "HogQLQuery":
            results = await insight(_read(raw, InsightNode), self._store, self._analyst, moment)
            return json_response(answer_of(results, now))
        filtered = (asked.filters or SqlFilters()).condition(moment, self._store.flags.cohorts)
        result = await answer(self._analyst, asked.query, asked.filled, filtered)
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

    def _organization(self) -> dict[str, Any]:
        return {**_ORGANIZATION, "teams": [self._project], "projects": [self._project]}


def _read(raw: msgspec.Raw, shape: type[T]) -> T:
    return msgspec.json.decode(raw, type=shape)

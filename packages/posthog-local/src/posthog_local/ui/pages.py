"""Every page of the web interface.

Owns which page shows what, under the paths that PostHog users know. Changes go through the same
store calls as the control API; the guard in front keeps foreign sites and machines out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import resources
from typing import Any, TypeAlias, get_args
from urllib.parse import parse_qs, quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.flags.definition import InvalidDefinition
from posthog_local.flags.evaluate import Evaluation, Subject
from posthog_local.flags.operators import OPERATOR_NAMES
from posthog_local.persons.ids import person_uuid
from posthog_local.store import flagshelf
from posthog_local.store.issueshelf import IssueStatus
from posthog_local.store.logshelf import LogFilter
from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.ui.flagform import FlagForm, definition_of, form_of
from posthog_local.ui.render import HEADERS, Renderer
from posthog_local.ui.stream import live_rows
from posthog_local.ui.timeline import merged
from posthog_local.ui.tracetree import TraceLine, totals, tree

_Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_FEED_ROWS = 100
_TIMELINE_ROWS = 500
_LIST_ROWS = 200
_OCCURRENCES = 20
_TRACES = 50
_TRACE_ROWS = 1000
_STATUSES: tuple[IssueStatus, ...] = get_args(IssueStatus)
_LOG_FIELDS = ("search", "severity", "service_name", "trace_id", "distinct_id")
_ASSETS = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What a person copies from the settings page."""

    project_token: str
    secret_key: str
    data: str | None


class Pages:
    """Handlers of every page over the store."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store = store
        self._connection = connection
        self._renderer = Renderer()

    def routes(self) -> list[Route]:
        """Every page."""
        return [
            Route("/", self.home),
            Route("/activity", self.activity),
            Route("/activity/stream", self.stream),
            Route("/persons", self.persons),
            Route("/person/{distinct_id:path}", self.person),
            Route("/feature_flags", self.flags),
            Route("/feature_flags/new", self.new_flag),
            Route("/feature_flags/save", self.save_flag, methods=["POST"]),
            Route("/feature_flags/toggle", self.toggle_flag, methods=["POST"]),
            Route("/feature_flags/delete", self.delete_flag, methods=["POST"]),
            Route("/feature_flags/{key:path}", self.flag),
            Route("/logs", self.logs),
            Route("/error_tracking", self.issues),
            Route("/error_tracking/status", self.issue_status, methods=["POST"]),
            Route("/error_tracking/{id}", self.issue),
            Route("/llm_analytics", self.traces),
            Route("/llm_analytics/{id:path}", self.trace),
            Route("/replay", self.replays),
            Route("/replay/{session_id}/events.json", self.replay_events),
            Route("/warnings", self.warnings),
            Route("/settings", self.settings),
            Route("/_assets/{name}", self.asset),
        ]

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/activity", 302)

    async def activity(self, request: Request) -> Response:
        name = request.query_params.get("event") or None
        events = self._store.reader.latest_events(EventFilter(event=name), _FEED_ROWS)
        after = events[0].seq if events else self._store.reader.last_seq()
        return self._page("activity.html", "activity", events=events, name=name or "", after=after)

    async def stream(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        wanted = EventFilter(
            event=request.query_params.get("event") or None,
            after_seq=int(last) if last.isascii() and last.isdigit() and len(last) < 16 else 0,
        )
        return live_rows(request, self._store, self._renderer, wanted)

    async def persons(self, request: Request) -> Response:
        wanted = request.query_params.get("distinct_id", "").strip()
        if wanted:
            return RedirectResponse(f"/person/{quote(wanted, safe='')}", 302)
        persons = self._store.reader.persons(_LIST_ROWS)
        return self._page("persons.html", "persons", persons=persons)

    async def person(self, request: Request) -> Response:
        distinct_id = request.path_params["distinct_id"]
        reader = self._store.reader
        events = reader.timeline(distinct_id, _TIMELINE_ROWS)
        logs = self._store.log_reader.latest(LogFilter(distinct_id=distinct_id), _TIMELINE_ROWS)
        return self._page(
            "person.html",
            "persons",
            distinct_id=distinct_id,
            person=reader.person(distinct_id),
            person_id=person_uuid(distinct_id),
            entries=merged(events, logs)[:_TIMELINE_ROWS],
            limit=_TIMELINE_ROWS,
            evaluations=self._evaluate(distinct_id),
        )

    async def flags(self, request: Request) -> Response:
        return self._page("flags.html", "flags", flags=self._store.flags.flags)

    async def new_flag(self, request: Request) -> Response:
        return self._editor(None, FlagForm())

    async def flag(self, request: Request) -> Response:
        flag = self._store.flags.get(request.path_params["key"])
        if flag is None:
            return self._page("missing.html", "flags", status=404, what="flag")
        tried = request.query_params.get("distinct_id", "").strip()
        results = self._evaluate(tried) if tried else []
        result = next((one for one in results if one.flag.key == flag["key"]), None)
        return self._editor(flag, form_of(flag), tried=tried, result=result)

    async def save_flag(self, request: Request) -> Response:
        fields = await _fields(request)
        try:
            given = _given(fields)
            saved = await self._store.change_flags(flagshelf.save(given, _now_us()))
        except InvalidDefinition as error:
            known = self._store.flags.get(fields.get("key", [""])[0])
            form = form_of(known) if known is not None else FlagForm()
            return self._editor(known, form, error=str(error), status=400)
        return _see_other(f"/feature_flags/{quote(saved['key'], safe='')}")

    async def toggle_flag(self, request: Request) -> Response:
        key = (await _fields(request)).get("key", [""])[0]
        flag = self._store.flags.get(key)
        if flag is not None:
            changed = {**flag, "active": not flag["active"]}
            await self._store.change_flags(flagshelf.save(changed, _now_us()))
        return _see_other("/feature_flags")

    async def delete_flag(self, request: Request) -> Response:
        key = (await _fields(request)).get("key", [""])[0]
        await self._store.change_flags(flagshelf.delete(key))
        return _see_other("/feature_flags")

    async def logs(self, request: Request) -> Response:
        wanted = {name: request.query_params.get(name, "").strip() for name in _LOG_FIELDS}
        given = {name: value for name, value in wanted.items() if value}
        found = self._store.log_reader.latest(LogFilter(**given), _LIST_ROWS)
        severities = ("trace", "debug", "info", "warn", "error", "fatal")
        return self._page("logs.html", "logs", logs=found, wanted=wanted, severities=severities)

    async def issues(self, request: Request) -> Response:
        return self._page("issues.html", "errors", issues=self._store.issues.latest(_LIST_ROWS))

    async def issue(self, request: Request) -> Response:
        issue = self._store.issues.get(request.path_params["id"])
        if issue is None:
            return self._page("missing.html", "errors", status=404, what="issue")
        numbers = self._store.issues.occurrences(issue.id, _OCCURRENCES)
        events = self._store.reader.events_by_seq(numbers)
        latest = events[0].properties.get("$exception_list") if events else None
        return self._page(
            "issue.html", "errors", issue=issue, events=events, exceptions=latest or []
        )

    async def issue_status(self, request: Request) -> Response:
        fields = await _fields(request)
        issue_id, status = fields.get("id", [""])[0], fields.get("status", [""])[0]
        if status not in _STATUSES:
            return Response("there is no such status", 400)
        await self._store.set_issue_status(issue_id, status)
        return _see_other(f"/error_tracking/{quote(issue_id, safe='')}")

    async def traces(self, request: Request) -> Response:
        reader = self._store.reader
        found = [
            (trace_id, reader.trace_events(trace_id, _TRACE_ROWS))
            for trace_id in reader.latest_traces(_TRACES)
        ]
        lines = [TraceLine.of(trace_id, events) for trace_id, events in found if events]
        return self._page("traces.html", "traces", traces=lines)

    async def trace(self, request: Request) -> Response:
        trace_id = request.path_params["id"]
        events = self._store.reader.trace_events(trace_id, _TRACE_ROWS)
        if not events:
            return self._page("missing.html", "traces", status=404, what="trace")
        return self._page(
            "trace.html", "traces", id=trace_id, nodes=tree(events), totals=totals(events)
        )

    async def replays(self, request: Request) -> Response:
        found = self._store.recordings.latest(_LIST_ROWS)
        return self._page("replays.html", "replay", recordings=found)

    async def replay_events(self, request: Request) -> Response:
        events = self._store.recordings.events(request.path_params["session_id"])
        body = msgspec.json.encode([item for _, item in events])
        return Response(body, media_type="application/json", headers=HEADERS)

    async def warnings(self, request: Request) -> Response:
        found = self._store.reader.warnings(_LIST_ROWS)
        return self._page("warnings.html", "warnings", warnings=found)

    async def settings(self, request: Request) -> Response:
        host = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return self._page("settings.html", "settings", connection=self._connection, host=host)

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response("there is no such file", 404)
        content = (resources.files("posthog_local.ui") / "static" / name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"cache-control": "no-cache"})

    def _editor(
        self,
        flag: dict[str, Any] | None,
        form: FlagForm | None,
        *,
        status: int = 200,
        error: str = "",
        tried: str = "",
        result: Evaluation | None = None,
    ) -> Response:
        return self._page(
            "flag.html",
            "flags",
            status=status,
            flag=flag,
            form=form,
            operators=OPERATOR_NAMES,
            error=error,
            tried=tried,
            result=result,
        )

    def _evaluate(self, distinct_id: str) -> list[Evaluation]:
        reader = self._store.reader
        subject = Subject(
            distinct_id=distinct_id,
            person_properties=reader.person_properties(distinct_id) or {},
        )
        return self._store.flags.evaluate(subject, reader.group_types(), datetime.now(UTC))

    def _page(self, template: str, section: str, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(template, status, section=section, **values)


async def _fields(request: Request) -> dict[str, list[str]]:
    body = (await request.body()).decode("utf-8", "replace")
    return parse_qs(body, keep_blank_values=True, max_num_fields=1000)


def _given(fields: dict[str, list[str]]) -> dict[str, Any]:
    text = fields.get("definition", [""])[0].strip()
    if not text:
        return definition_of(fields)
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidDefinition(f"the definition is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidDefinition("the definition must be a JSON object")
    return given


def _see_other(path: str) -> Response:
    return RedirectResponse(path, 303)


def _now_us() -> int:
    return time.time_ns() // 1000

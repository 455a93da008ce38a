"""The pages that show what arrived, and the web interface as a whole.

Owns which page shows what, under the paths that PostHog users know. A page is read and rendered on
a thread of the store's, so that a long one delays no event. The guard in front keeps foreign sites
and machines out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, TypeAlias, get_args
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.ingest.warning import REASONS
from posthog_local.persons.ids import person_uuid
from posthog_local.query.analyst import Analyst
from posthog_local.store import warningshelf
from posthog_local.store.issueshelf import IssueStatus
from posthog_local.store.logshelf import LogFilter, StoredLog
from posthog_local.store.persons import PersonFilter
from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.store.timeorder import LATEST_US
from posthog_local.store.views import View
from posthog_local.ui.cohortpages import CohortPages
from posthog_local.ui.definitionpages import DefinitionPages
from posthog_local.ui.flagpages import FlagPages, evaluations
from posthog_local.ui.forms import first, form_fields, see_other, whole_number
from posthog_local.ui.grouppages import GroupPages
from posthog_local.ui.insights.desk import Desk
from posthog_local.ui.insights.pages import insight_routes
from posthog_local.ui.moments import moments
from posthog_local.ui.render import HEADERS, REPLAY_POLICY, Renderer
from posthog_local.ui.stream import live_rows
from posthog_local.ui.timeline import merged
from posthog_local.ui.tracetree import TraceLine, totals, tree

_Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_FEED_ROWS = 100
_TIMELINE_ROWS = 200
_NAMES = 500
_LIST_ROWS = 200
_SESSION_ROWS = 1000
# What a session caused may come a little after its last snapshot.
_AFTER_SESSION_US = 60_000_000
_OCCURRENCES = 20
_TRACES = 50
_TRACE_ROWS = 1000
_STATUSES: tuple[IssueStatus, ...] = get_args(IssueStatus)
_LOG_FIELDS = ("search", "severity", "service_name", "trace_id", "distinct_id")
_ASSETS = {
    "style.css": "text/css",
    "copy.js": "text/javascript",
    "live.js": "text/javascript",
    "replay.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What a person copies from the settings page; `player` says that recordings can be shown."""

    project_token: str
    secret_key: str
    personal_api_key: str
    strict_token: bool
    data: str | None
    player: bool


class Pages:
    """Handlers of every page over the store."""

    def __init__(self, store: Store, analyst: Analyst, connection: Connection) -> None:
        self._store = store
        self._connection = connection
        self._renderer = Renderer()
        self._flags = FlagPages(store, self._renderer)
        self._cohorts = CohortPages(store, self._renderer)
        self._groups = GroupPages(store, self._renderer)
        self._definitions = DefinitionPages(store, self._renderer)
        self._desk = Desk(store, analyst, self._renderer)

    def routes(self) -> list[Route]:
        """Every page."""
        return [
            Route("/", self.home),
            Route("/activity", self._shown(self.activity)),
            Route("/activity/stream", self.stream),
            Route("/persons", self._shown(self.persons)),
            Route("/person/{distinct_id:path}", self._shown(self.person)),
            *self._flags.routes(),
            *self._cohorts.routes(),
            *self._groups.routes(),
            *insight_routes(self._desk),
            *self._definitions.routes(),
            Route("/logs", self._shown(self.logs)),
            Route("/error_tracking", self._shown(self.issues)),
            Route("/error_tracking/status", self.issue_status, methods=["POST"]),
            Route("/error_tracking/{id}", self._shown(self.issue)),
            Route("/llm_analytics", self._shown(self.traces)),
            Route("/llm_analytics/{id:path}", self._shown(self.trace)),
            Route("/replay", self._shown(self.replays)),
            Route("/replay/{session_id}", self._shown(self.replay)),
            Route("/replay/{session_id}/events.json", self._shown(self.replay_events)),
            Route("/warnings", self._shown(self.warnings)),
            Route("/settings", self.settings),
            Route("/_assets/{name}", self.asset),
        ]

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/activity", 302)

    def activity(self, view: View, request: Request) -> Response:
        name = request.query_params.get("event") or None
        before = whole_number(request, "before") or None
        wanted = EventFilter(event=name, before_seq=before)
        events = view.events.latest_events(wanted, _FEED_ROWS + 1)
        shown = events[:_FEED_ROWS]
        return self._page(
            "activity.html",
            "activity",
            events=shown,
            name=name or "",
            names=view.events.names(_NAMES),
            after=shown[0].seq if shown else view.events.last_seq(),
            live=before is None,
            older=shown[-1].seq if len(events) > _FEED_ROWS else None,
        )

    async def stream(self, request: Request) -> Response:
        last = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        wanted = EventFilter(
            event=request.query_params.get("event") or None,
            after_seq=int(last) if last.isascii() and last.isdigit() and len(last) < 16 else 0,
        )
        return live_rows(request, self._store, self._renderer, wanted)

    def persons(self, view: View, request: Request) -> Response:
        wanted = request.query_params.get("search", "").strip()
        if wanted and view.events.person(wanted) is not None:
            return RedirectResponse(f"/person/{quote(wanted, safe='')}", 302)
        offset = whole_number(request, "offset")
        found = view.persons.find(
            PersonFilter(search=wanted or None, limit=_LIST_ROWS + 1, offset=offset)
        )
        return self._page(
            "persons.html",
            "persons",
            persons=found[:_LIST_ROWS],
            wanted=wanted,
            offset=offset,
            more=len(found) > _LIST_ROWS,
            types=view.events.group_types(),
        )

    def person(self, view: View, request: Request) -> Response:
        distinct_id = request.path_params["distinct_id"]
        until = whole_number(request, "until") or LATEST_US
        events = view.events.timeline(distinct_id, _TIMELINE_ROWS, until)
        logs = view.logs.timeline(distinct_id, _TIMELINE_ROWS, until)
        recordings = view.recordings.of_person(distinct_id, _TIMELINE_ROWS)
        entries = [one for one in merged(events, logs, recordings) if one.at_us <= until]
        last = entries[_TIMELINE_ROWS - 1].at_us if len(entries) >= _TIMELINE_ROWS else None
        return self._page(
            "person.html",
            "persons",
            distinct_id=distinct_id,
            person=view.events.person(distinct_id),
            person_id=person_uuid(distinct_id),
            entries=entries[:_TIMELINE_ROWS],
            earliest=until == LATEST_US,
            # The next page begins with what this one ends with: others may be of that time too.
            older=last if last != until else until - 1,
            evaluations=evaluations(self._store, view.events, distinct_id),
        )

    def logs(self, view: View, request: Request) -> Response:
        wanted = {name: request.query_params.get(name, "").strip() for name in _LOG_FIELDS}
        before = whole_number(request, "before_us"), whole_number(request, "before_seq")
        asked = msgspec.structs.replace(LogFilter.of(wanted), beyond=before if before[0] else None)
        found = view.logs.latest(asked, _LIST_ROWS + 1)
        return self._page(
            "logs.html",
            "logs",
            logs=found[:_LIST_ROWS],
            older=_after(wanted, found[_LIST_ROWS - 1]) if len(found) > _LIST_ROWS else None,
            first=not before[0],
            wanted=wanted,
            severities=("trace", "debug", "info", "warn", "error", "fatal"),
            services=view.logs.service_names(),
        )

    def issues(self, view: View, request: Request) -> Response:
        wanted = request.query_params.get("status", "")
        found = [one for one in view.issues.latest(_LIST_ROWS) if wanted in ("", one.status)]
        return self._page("issues.html", "errors", issues=found, wanted=wanted, statuses=_STATUSES)

    def issue(self, view: View, request: Request) -> Response:
        issue = view.issues.get(request.path_params["id"])
        if issue is None:
            return self._page("missing.html", "errors", status=404, what="issue")
        numbers = view.issues.occurrences(issue.id, _OCCURRENCES)
        events = view.events.events_by_seq(numbers)
        latest = events[0].properties.get("$exception_list") if events else None
        sessions = {event.session_id for event in events if event.session_id is not None}
        return self._page(
            "issue.html",
            "errors",
            issue=issue,
            events=events,
            exceptions=latest or [],
            recorded={one for one in sessions if view.recordings.get(one) is not None},
        )

    async def issue_status(self, request: Request) -> Response:
        fields = await form_fields(request)
        issue_id, status = first(fields, "id"), first(fields, "status")
        if status not in _STATUSES:
            return Response("there is no such status", 400)
        await self._store.change_issue(issue_id, {"status": status})
        return see_other(f"/error_tracking/{quote(issue_id, safe='')}")

    def traces(self, view: View, request: Request) -> Response:
        found = [
            (trace_id, view.events.trace_events(trace_id, _TRACE_ROWS))
            for trace_id in view.events.latest_traces(_TRACES)
        ]
        lines = [TraceLine.of(trace_id, events) for trace_id, events in found if events]
        return self._page("traces.html", "traces", traces=lines)

    def trace(self, view: View, request: Request) -> Response:
        trace_id = request.path_params["id"]
        events = view.events.trace_events(trace_id, _TRACE_ROWS)
        if not events:
            return self._page("missing.html", "traces", status=404, what="trace")
        return self._page(
            "trace.html", "traces", id=trace_id, nodes=tree(events), totals=totals(events)
        )

    def replays(self, view: View, request: Request) -> Response:
        found = view.recordings.latest(_LIST_ROWS)
        return self._page("replays.html", "replay", recordings=found)

    def replay(self, view: View, request: Request) -> Response:
        recording = view.recordings.get(request.path_params["session_id"])
        if recording is None:
            return self._page("missing.html", "replay", status=404, what="recording")
        windows = view.recordings.windows(recording.session_id)
        asked = request.query_params.get("window")
        window = asked if asked in windows else windows[0]
        items = [item for of, item in view.recordings.events(recording.session_id) if of == window]
        until = recording.last_ms * 1000 + _AFTER_SESSION_US
        page = self._page(
            "replay.html",
            "replay",
            recording=recording,
            windows=windows,
            window=window,
            moments=moments(
                recording.session_id,
                items,
                view.events.timeline(recording.distinct_id, _SESSION_ROWS, until),
                view.logs.timeline(recording.distinct_id, _SESSION_ROWS, until),
            ),
            player=self._connection.player,
        )
        page.headers["content-security-policy"] = REPLAY_POLICY
        return page

    def replay_events(self, view: View, request: Request) -> Response:
        events = view.recordings.events(request.path_params["session_id"])
        asked = request.query_params.get("window")
        body = msgspec.json.encode(
            [item for window, item in events if asked is None or window == asked]
        )
        return Response(body, media_type="application/json", headers=HEADERS)

    def warnings(self, view: View, request: Request) -> Response:
        kind = request.query_params.get("kind") or None
        return self._page(
            "warnings.html",
            "warnings",
            warnings=warningshelf.latest(view.connection, _LIST_ROWS, kind),
            counts=warningshelf.counts(view.connection),
            kind=kind,
            reasons=REASONS,
        )

    async def settings(self, request: Request) -> Response:
        host = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return self._page("settings.html", "settings", connection=self._connection, host=host)

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response("there is no such file", 404)
        content = (resources.files("posthog_local.ui") / "static" / name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"cache-control": "no-cache"})

    def _shown(self, page: Callable[[View, Request], Response]) -> _Handler:
        async def handler(request: Request) -> Response:
            return await self._store.read(lambda view: page(view, request))

        return handler

    def _page(self, template: str, section: str, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(template, status, section=section, **values)


def _after(wanted: dict[str, str], last: StoredLog) -> str:
    """The address of what comes after the last line that is shown."""
    place = {"before_us": last.record.timestamp_us, "before_seq": last.seq}
    return "/logs?" + urlencode({**{k: v for k, v in wanted.items() if v}, **place})

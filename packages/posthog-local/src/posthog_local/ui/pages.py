"""The web interface as a whole, under the paths that PostHog users know.

Owns which sections there are, and the pages that are of no section of their own: activity, warnings
and settings. The guard in front keeps foreign sites and machines out.
"""

from __future__ import annotations

from importlib import resources

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.ingest.warning import REASONS
from posthog_local.query.analyst import Analyst
from posthog_local.store import shelves
from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.store.views import View
from posthog_local.ui.cohortpages import CohortPages
from posthog_local.ui.definitionpages import DefinitionPages
from posthog_local.ui.flagpages import FlagPages
from posthog_local.ui.forms import whole_number
from posthog_local.ui.grouppages import GroupPages
from posthog_local.ui.insights.desk import Desk
from posthog_local.ui.insights.pages import insight_routes
from posthog_local.ui.issuepages import IssuePages
from posthog_local.ui.logpages import LogPages
from posthog_local.ui.personpages import PersonPages
from posthog_local.ui.render import Renderer
from posthog_local.ui.replaypages import ReplayPages
from posthog_local.ui.section import Section
from posthog_local.ui.stream import live_rows
from posthog_local.ui.tracepages import TracePages

_FEED_ROWS = 100
_NAMES = 500
_LIST_ROWS = 200
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

        def section(name: str) -> Section:
            return Section(name, store, self._renderer)

        self._activity = section("activity")
        self._warnings = section("warnings")
        self._settings = section("settings")
        self._persons = PersonPages(section("persons"))
        self._logs = LogPages(section("logs"))
        self._issues = IssuePages(section("errors"))
        self._traces = TracePages(section("traces"))
        self._replays = ReplayPages(section("replay"), connection.player)
        self._flags = FlagPages(store, self._renderer)
        self._cohorts = CohortPages(store, self._renderer)
        self._groups = GroupPages(section("persons"))
        self._definitions = DefinitionPages(self._activity)
        self._desk = Desk(store, analyst, self._renderer)

    def routes(self) -> list[Route]:
        """Every page."""
        return [
            Route("/", self.home),
            Route("/activity", self._activity.shown(self.activity)),
            Route("/activity/stream", self.stream),
            *self._persons.routes(),
            *self._flags.routes(),
            *self._cohorts.routes(),
            *self._groups.routes(),
            *insight_routes(self._desk),
            *self._definitions.routes(),
            *self._logs.routes(),
            *self._issues.routes(),
            *self._traces.routes(),
            *self._replays.routes(),
            Route("/warnings", self._warnings.shown(self.warnings)),
            Route("/settings", self.settings),
            Route("/project/{project}/{rest:path}", self.of_project),
            Route("/_assets/{name}", self.asset),
        ]

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/activity", 302)

    async def of_project(self, request: Request) -> Response:
        """Addresses as SDKs make them, with the project in front: here there is one."""
        # No more than one slash: two of them would lead to another host.
        path = "/" + request.path_params["rest"].lstrip("/\\")
        query = request.url.query
        return RedirectResponse(f"{path}?{query}" if query else path, 302)

    def activity(self, view: View, request: Request) -> Response:
        name = request.query_params.get("event") or None
        before = whole_number(request, "before") or None
        wanted = EventFilter(event=name, before_seq=before)
        events = view.events.latest_events(wanted, _FEED_ROWS + 1)
        shown = events[:_FEED_ROWS]
        return self._activity.page(
            "activity.html",
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

    def warnings(self, view: View, request: Request) -> Response:
        kind = request.query_params.get("kind") or None
        return self._warnings.page(
            "warnings.html",
            warnings=shelves.warnings.latest(view.connection, _LIST_ROWS, kind),
            counts=shelves.warnings.counts(view.connection),
            kind=kind,
            reasons=REASONS,
        )

    async def settings(self, request: Request) -> Response:
        host = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return self._settings.page("settings.html", connection=self._connection, host=host)

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            return Response("there is no such file", 404)
        content = (resources.files("posthog_local.ui") / "static" / name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"cache-control": "no-cache"})

"""The pages of what there is: every event by name, one event's properties, one property's values.

Owns these pages. They need no SQL: what is told of properties is of the latest events.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.query.definitions import LOOKED_AT, carriers_of, properties_of
from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.store.views import View
from posthog_local.ui.render import Renderer

_EVENTS = 500


class DefinitionPages:
    """Handlers over the store."""

    def __init__(self, store: Store, renderer: Renderer) -> None:
        self._store = store
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """Every page of definitions."""
        return [
            Route("/data-management", self.home),
            Route("/data-management/events", self.events),
            Route("/data-management/events/{name:path}", self.event),
            Route("/data-management/properties/{name:path}", self.of_property),
        ]

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/data-management/events", 302)

    async def events(self, request: Request) -> Response:
        """Every name that an event came with."""
        found = await self._store.read(lambda view: view.events.counted_names(_EVENTS + 1))
        more = len(found) > _EVENTS
        return self._page("definitions.html", found=found[:_EVENTS], more=more)

    async def event(self, request: Request) -> Response:
        """One event's properties."""
        name = request.path_params["name"]

        def page(view: View) -> Response:
            events = view.events.latest_events(EventFilter(event=name), LOOKED_AT)
            if not events:
                return self._page("missing.html", status=404, what="event")
            found = properties_of(events)
            return self._page("definition.html", name=name, looked=len(events), found=found)

        return await self._store.read(page)

    async def of_property(self, request: Request) -> Response:
        """One property's values, in one event or in all."""
        name, event = request.path_params["name"], request.query_params.get("event") or None

        def page(view: View) -> Response:
            events = view.events.latest_events(EventFilter(event=event), LOOKED_AT)
            found = next((one for one in properties_of(events) if one.name == name), None)
            if found is None:
                return self._page("missing.html", status=404, what="property in the latest events")
            return self._page(
                "property.html",
                name=name,
                event=event,
                found=found,
                looked=len(events),
                carriers=carriers_of(events, name),
            )

        return await self._store.read(page)

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        return self._renderer.page(template, status, section="activity", **values)

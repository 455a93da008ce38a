"""The pages of what there is: every event by name, one event's properties, one property's values.

Owns these pages. They need no SQL: what is told of properties is of the latest events.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.query.definitions import LOOKED_AT, carriers_of, properties_of
from posthog_local.store.reader import EventFilter
from posthog_local.store.views import View
from posthog_local.ui.section import Section

_EVENTS = 500


class DefinitionPages:
    """Handlers over the store."""

    def __init__(self, section: Section) -> None:
        self._section = section

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
        found = await self._section.store.read(lambda view: view.events.counted_names(_EVENTS + 1))
        more = len(found) > _EVENTS
        return self._section.page("definitions.html", found=found[:_EVENTS], more=more)

    async def event(self, request: Request) -> Response:
        """One event's properties."""
        name = request.path_params["name"]

        def page(view: View) -> Response:
            events = view.events.latest_events(EventFilter(event=name), LOOKED_AT)
            if not events:
                return self._section.page("missing.html", status=404, what="event")
            found = properties_of(events)
            return self._section.page("definition.html", name=name, looked=len(events), found=found)

        return await self._section.store.read(page)

    async def of_property(self, request: Request) -> Response:
        """One property's values, in one event or in all."""
        name, event = request.path_params["name"], request.query_params.get("event") or None

        def page(view: View) -> Response:
            events = view.events.latest_events(EventFilter(event=event), LOOKED_AT)
            found = next((one for one in properties_of(events) if one.name == name), None)
            if found is None:
                return self._section.page(
                    "missing.html", status=404, what="property in the latest events"
                )
            return self._section.page(
                "property.html",
                name=name,
                event=event,
                found=found,
                looked=len(events),
                carriers=carriers_of(events, name),
            )

        return await self._section.store.read(page)

"""What every page of insights needs: the warehouse, suggestions for its fields, and its frame.

Owns no question. Suggestions are of the latest events, so they cost a glance.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.analyst import Analyst
from posthog_local.query.filters import OPERATORS
from posthog_local.query.insights import Insights
from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.store.views import View
from posthog_local.ui.chart import BOTTOM, HEIGHT, LEFT, WIDTH
from posthog_local.ui.insights.asked import DAYS, Asked, FilterRow
from posthog_local.ui.render import Renderer

_SUGGESTIONS = 500
_LOOKED_AT = 100


class Desk:
    """Handed to each page of insights."""

    def __init__(self, store: Store, analyst: Analyst, renderer: Renderer) -> None:
        self.store = store
        self.analyst = analyst
        self._renderer = renderer

    def insights(self) -> Insights:
        """Answers as of now."""
        return Insights(self.analyst, self.store.flags.cohorts, datetime.now(UTC))

    async def form(self, request: Request, event: str | None = None) -> dict[str, Any]:
        """What the common parts of a form show; properties are of one event, or of all."""
        asked = Asked(request.query_params)
        names, properties = await self.store.read(lambda view: _suggested(view, event))
        return {
            "names": names,
            "properties": properties,
            "filters": asked.rows(),
            "empty_filter": FilterRow(),
            "operators": OPERATORS,
            "cohort": asked.cohort(),
            "cohorts": self.store.flags.cohorts,
            "last_days": DAYS,
        }

    def page(
        self,
        template: str,
        request: Request,
        *,
        section: str = "trends",
        status: int = 200,
        **values: Any,
    ) -> Response:
        """A template as a page that knows its own address."""
        query = request.url.query
        return self._renderer.page(
            template,
            status,
            section=section,
            address=f"{request.url.path}?{query}" if query else "",
            size=(WIDTH, HEIGHT, LEFT, BOTTOM),
            **values,
        )


def _suggested(view: View, event: str | None) -> tuple[list[str], list[str]]:
    """Names of events, and of properties: those that people named before PostHog's own."""
    events = view.events.latest_events(EventFilter(event=event), _LOOKED_AT)
    own = {name for one in events for name in one.properties}
    own |= {f"person.{name}" for _, known in view.persons.newest(_LOOKED_AT) for name in known}
    ordered = sorted(own, key=lambda name: ("$" in name, name))
    return view.events.names(_SUGGESTIONS), ordered[:_SUGGESTIONS]

"""The pages of LLM traces: the latest, and one as a tree.

Owns these two.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.store.views import View
from posthog_local.ui.section import Section
from posthog_local.ui.tracetree import TraceLine, totals, tree

_TRACES = 50
_TRACE_ROWS = 1000


class TracePages:
    """Handlers over the store."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def routes(self) -> list[Route]:
        """Every page."""
        shown = self._section.shown
        return [
            Route("/llm_analytics", shown(self.traces)),
            Route("/llm_analytics/{id:path}", shown(self.trace)),
        ]

    def traces(self, view: View, request: Request) -> Response:
        found = [
            (trace_id, view.events.trace_events(trace_id, _TRACE_ROWS))
            for trace_id in view.events.latest_traces(_TRACES)
        ]
        lines = [TraceLine.of(trace_id, events) for trace_id, events in found if events]
        return self._section.page("traces.html", traces=lines)

    def trace(self, view: View, request: Request) -> Response:
        trace_id = request.path_params["id"]
        events = view.events.trace_events(trace_id, _TRACE_ROWS)
        if not events:
            return self._section.page("missing.html", status=404, what="trace")
        return self._section.page(
            "trace.html", id=trace_id, nodes=tree(events), totals=totals(events)
        )

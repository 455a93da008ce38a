"""The pages of error tracking: issues, and one with its occurrences.

Owns these, and the form that changes an issue's status.
"""

from __future__ import annotations

from typing import get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.store.shelves.issues import IssueStatus
from posthog_local.store.views import View
from posthog_local.ui.forms import first, form_fields, see_other
from posthog_local.ui.section import Section

_LIST_ROWS = 200
_OCCURRENCES = 20
_STATUSES: tuple[IssueStatus, ...] = get_args(IssueStatus)


class IssuePages:
    """Handlers over the store."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def routes(self) -> list[Route]:
        """Every page."""
        shown = self._section.shown
        return [
            Route("/error_tracking", shown(self.issues)),
            Route("/error_tracking/status", self.issue_status, methods=["POST"]),
            Route("/error_tracking/{id}", shown(self.issue)),
        ]

    def issues(self, view: View, request: Request) -> Response:
        wanted = request.query_params.get("status", "")
        found = [one for one in view.issues.latest(_LIST_ROWS) if wanted in ("", one.status)]
        return self._section.page("issues.html", issues=found, wanted=wanted, statuses=_STATUSES)

    def issue(self, view: View, request: Request) -> Response:
        issue = view.issues.get(request.path_params["id"])
        if issue is None:
            return self._section.page("missing.html", status=404, what="issue")
        numbers = view.issues.occurrences(issue.id, _OCCURRENCES)
        events = view.events.events_by_seq(numbers)
        latest = events[0].properties.get("$exception_list") if events else None
        sessions = {event.session_id for event in events if event.session_id is not None}
        return self._section.page(
            "issue.html",
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
        await self._section.store.change_issue(issue_id, {"status": status})
        return see_other(f"/error_tracking/{quote(issue_id, safe='')}")

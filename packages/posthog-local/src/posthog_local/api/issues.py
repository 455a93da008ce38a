"""Issues of error tracking through PostHog's API.

Owns their shape there and which of their fields can be changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from posthog_local.api.door import Door, body_of, bounds, not_found, page
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.store.shelves.issues import Issue, IssueStatus
from posthog_local.store.store import Store
from posthog_local.store.views import View


class _Change(msgspec.Struct, frozen=True):
    status: IssueStatus | None = None
    name: str | None = None
    description: str | None = None


class IssueApi:
    """Handlers over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        path = "/error_tracking/issues"
        yield door.of_project(path, GET=door.asked(self.issues))
        yield door.of_project(f"{path}/{{id}}", GET=door.asked(self.issue), PATCH=self.change)

    def issues(self, view: View, request: Request) -> Response:
        """Issues, those that occurred last first."""
        limit, offset = bounds(request)
        status = request.query.get("status")
        found = [one for one in view.issues.latest(limit + offset) if status in (None, one.status)]
        return page(request, [shown(one) for one in found[offset:]], view.issues.count(status))

    def issue(self, view: View, request: Request) -> Response:
        """One issue."""
        return json_response(_found(view, request))

    async def change(self, request: Request) -> Response:
        """Changes status, name or description."""
        given = body_of(request, _Change)
        changes = {name: value for name, value in msgspec.structs.asdict(given).items() if value}
        issue_id = request.path_values["id"]
        if changes:
            await self._store.change_issue(issue_id, changes)
        return json_response(await self._store.read(lambda view: _found(view, request)))


def _found(view: View, request: Request) -> dict[str, Any]:
    issue = view.issues.get(request.path_values["id"])
    if issue is None:
        raise not_found()
    return shown(issue)


def shown(issue: Issue) -> dict[str, Any]:
    """An issue as PostHog shows it."""
    return {
        "id": issue.id,
        "name": issue.name,
        "description": issue.description,
        "status": issue.status,
        "first_seen": format_time(issue.first_seen_us),
        "last_seen": format_time(issue.last_seen_us),
        "assignee": None,
        "fingerprint": issue.fingerprint,
        "aggregations": {"occurrences": issue.occurrences, "users": issue.persons},
    }

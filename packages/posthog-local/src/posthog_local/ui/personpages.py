"""The pages of persons: the list, searched, and one person's timeline.

Owns these two. An id that no person holds has a timeline all the same.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.persons.ids import person_uuid
from posthog_local.store.shelves.persons import PersonFilter
from posthog_local.store.timeorder import LATEST_US
from posthog_local.store.views import View
from posthog_local.ui.flagpages import evaluations
from posthog_local.ui.forms import whole_number
from posthog_local.ui.section import Section
from posthog_local.ui.timeline import merged

_LIST_ROWS = 200
_TIMELINE_ROWS = 200


class PersonPages:
    """Handlers over the store."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def routes(self) -> list[Route]:
        """Every page."""
        shown = self._section.shown
        return [
            Route("/persons", shown(self.persons)),
            Route("/person/{distinct_id:path}", shown(self.person)),
        ]

    def persons(self, view: View, request: Request) -> Response:
        wanted = request.query_params.get("search", "").strip()
        if wanted and view.events.person(wanted) is not None:
            return RedirectResponse(f"/person/{quote(wanted, safe='')}", 302)
        offset = whole_number(request, "offset")
        found = view.persons.find(
            PersonFilter(search=wanted or None, limit=_LIST_ROWS + 1, offset=offset)
        )
        return self._section.page(
            "persons.html",
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
        return self._section.page(
            "person.html",
            distinct_id=distinct_id,
            person=view.events.person(distinct_id),
            person_id=person_uuid(distinct_id),
            entries=entries[:_TIMELINE_ROWS],
            earliest=until == LATEST_US,
            # The next page begins with what this one ends with: others may be of that time too.
            older=last if last != until else until - 1,
            evaluations=evaluations(self._section.store, view.events, distinct_id),
        )

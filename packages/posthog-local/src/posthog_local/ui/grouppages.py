"""The pages of groups: the groups of one type, and what is known of one with what it did.

Owns these two pages. A group that events only name has a page too: it has no properties until
somebody sends `$groupidentify`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from posthog_local.store.views import View
from posthog_local.ui.forms import whole_number
from posthog_local.ui.section import Section

_ROWS = 100


class GroupPages:
    """Handlers over the store."""

    def __init__(self, section: Section) -> None:
        self._section = section

    def routes(self) -> list[Route]:
        """Every page of groups."""
        return [
            Route("/groups", self.home),
            Route("/groups/{index:int}", self.groups),
            Route("/groups/{index:int}/{key:path}", self.group),
        ]

    async def home(self, request: Request) -> Response:
        """The first type, or how to get one."""
        types = await self._section.store.read(lambda view: view.events.group_types())
        if types:
            return RedirectResponse(f"/groups/{min(types)}", 302)
        return self._section.page(
            "groups.html", types={}, index=None, groups=[], offset=0, more=False
        )

    async def groups(self, request: Request) -> Response:
        """One type's groups."""
        index = request.path_params["index"]
        offset = whole_number(request, "offset")

        def page(view: View) -> Response:
            types = view.events.group_types()
            if index not in types:
                return self._section.page("missing.html", status=404, what="type of group")
            found = view.persons.groups(index, _ROWS + 1, offset)
            return self._section.page(
                "groups.html",
                types=types,
                index=index,
                groups=found[:_ROWS],
                offset=offset,
                more=len(found) > _ROWS,
            )

        return await self._section.store.read(page)

    async def group(self, request: Request) -> Response:
        """One group with its latest events."""
        index, key = request.path_params["index"], request.path_params["key"]

        def page(view: View) -> Response:
            types = view.events.group_types()
            if index not in types:
                return self._section.page("missing.html", status=404, what="type of group")
            return self._section.page(
                "group.html",
                types=types,
                index=index,
                key=key,
                group=view.persons.group(index, key),
                events=view.events.group_events(index, key, _ROWS),
                limit=_ROWS,
            )

        return await self._section.store.read(page)

"""The page of companions: what runs beside the host, and how it fares. To read only.

Owns the page. Never starts or ends one. One invariant: what a companion printed is text like any
other, and escaped.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import Route

from pyconvex.companions import CompanionState, CompanionStatus
from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.render import Renderer, Section

SECTION = Section("companions", "/dashboard/companions", "Companions")

_BADGES = {
    CompanionState.RUNNING: "active",
    CompanionState.WAITING: "active",
    CompanionState.BROKEN: "failed",
    CompanionState.RESTARTING: "failed",
}


class CompanionPages:
    """The page that lists them."""

    def __init__(
        self, status: Callable[[], tuple[CompanionStatus, ...]], door: Door, renderer: Renderer
    ) -> None:
        self._status = status
        self._door = door
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """It is read with GET."""
        return [Route("/dashboard/companions", self._door.inside(self.page), methods=["GET"])]

    async def page(self, visit: Visit) -> Response:
        """All that installed packages offer."""
        return self._renderer.page(
            "companions.html",
            visit,
            SECTION.name,
            companions=[(each, _BADGES.get(each.state, "")) for each in self._status()],
        )

"""The page of queues: what waits, and how many rows no receiver took. To read only.

Owns the page. Never shows a row, nor moves one: `pyconvex queues` does. One invariant: what a
receiver answered is text like any other, and escaped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.render import Renderer, Section

SECTION = Section("queues", "/dashboard/queues", "Queues")


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A queue and how it fares, as `GET /api/pyconvex/queues` tells it."""

    component: str
    queue: str
    waiting: int
    oldest_ms: float | None
    sent: int
    dropped: int
    set_aside: int
    state: str
    missing: tuple[str, ...] = ()
    last_error: str | None

    @property
    def name(self) -> str:
        """As `pyconvex queues` takes it."""
        return f"{self.component}/{self.queue}" if self.component else self.queue


class QueuePages:
    """The page that lists them."""

    def __init__(
        self,
        listed: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]],
        door: Door,
        renderer: Renderer,
    ) -> None:
        self._listed = listed
        self._door = door
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """It is read with GET."""
        return [Route("/dashboard/queues", self._door.inside(self.page), methods=["GET"])]

    async def page(self, visit: Visit) -> Response:
        """All that the app declares."""
        found = msgspec.convert(await self._listed(), list[Queue])
        return self._renderer.page("queues.html", visit, SECTION.name, queues=found)

"""The logs page: what functions print and how they end, as it happens.

Owns the page and its stream of server-sent events. Never keeps an execution; `RecentRuns` does. One
invariant: each event's id is the cursor behind what it tells, so who comes back with it is told the
rest once, or that some of it is not known any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import msgspec
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pyconvex.dashboard.door import Door, Visit
from pyconvex.dashboard.render import HEADERS, Renderer, Section
from pyconvex.dashboard.runs import LEVELS, Filter, Run, by_request, chosen, function_name
from pyconvex.runlog import RunRecord
from pyconvex.runlog.recent import RecentRuns

SECTION = Section("logs", "/dashboard/logs", "Logs")
#: Executions that a page begins with.
HISTORY = 200
#: Executions of one message, and the pause after it: a flood takes little of the server's time, and
#: what a page could not follow is said.
MAX_RUNS_A_MESSAGE = 50
PAUSE_S = 0.25
#: A comment at least this often, so that a dead connection is noticed on both sides.
HEARTBEAT_S = 15.0
#: Pages that follow at once.
MAX_FOLLOWING = 32


class LogPages:
    """The logs page."""

    def __init__(self, recent: RecentRuns, door: Door, renderer: Renderer) -> None:
        self._recent = recent
        self._door = door
        self._renderer = renderer
        self._following = 0

    def routes(self) -> list[Route]:
        """The page, and what it follows."""
        return [
            Route("/dashboard/logs", self._door.inside(self.page), methods=["GET"]),
            Route("/dashboard/logs/stream", self._door.inside(self.stream), methods=["GET"]),
        ]

    async def page(self, visit: Visit) -> Response:
        """The newest executions that the filter admits."""
        wanted = Filter.of(visit.request.query_params)
        cursor, records = self._recent.cursor, self._recent.after(0)
        asked = {name: value for name, value in msgspec.to_builtins(wanted).items() if value}
        # Hundreds of executions with their errors take a while to write, and calls wait meanwhile.
        return await asyncio.to_thread(
            lambda: self._renderer.page(
                "logs.html",
                visit,
                SECTION.name,
                wanted=wanted,
                levels=LEVELS,
                requests=by_request(_newest(records, wanted, HISTORY)),
                functions=sorted({function_name(one.path, one.component) for one in records}),
                follow=f"/dashboard/logs/stream?{urlencode({**asked, 'after': cursor})}",
            )
        )

    async def stream(self, visit: Visit) -> Response:
        """What comes after a cursor, for as long as the page is open and its session lasts."""
        if self._following >= MAX_FOLLOWING:
            return PlainTextResponse("Too many pages follow the logs: close some.\n", 503)
        query = visit.request.query_params
        last = visit.request.headers.get("last-event-id") or query.get("after", "")
        after = int(last) if last.isdecimal() and len(last) < 16 else self._recent.cursor
        return StreamingResponse(
            self._messages(visit, Filter.of(query), after),
            media_type="text/event-stream",
            headers=HEADERS,
        )

    async def _messages(self, visit: Visit, wanted: Filter, after: int) -> AsyncIterator[str]:
        self._following += 1
        try:
            yield "retry: 1000\n\n"
            while not self._recent.closed and self._door.is_in(visit.request):
                missed = self._recent.missed(after)
                records, after = self._recent.after(after), self._recent.cursor
                runs, left_out = _bounded(records, wanted)
                if missed:
                    yield "event: forgotten\ndata: \n\n"
                if left_out:
                    yield f"event: skipped\ndata: {left_out}\n\n"
                if runs:
                    yield self._message(after, runs)
                if records:
                    await asyncio.sleep(PAUSE_S)
                    continue
                await self._recent.wait(after, HEARTBEAT_S)
                if self._recent.cursor == after:
                    yield f": still here\nid: {after}\n\n"
        finally:
            self._following -= 1

    def _message(self, cursor: int, runs: Sequence[Run]) -> str:
        text = self._renderer.text("_requests.html", requests=by_request(runs))
        lines = "".join(f"data: {line}\n" for line in text.splitlines())
        return f"id: {cursor}\n{lines}\n"


def _newest(records: Sequence[RunRecord], wanted: Filter, limit: int) -> list[Run]:
    """At most so many of what the filter admits, oldest first."""
    found: list[Run] = []
    for record in reversed(records):
        if len(found) == limit:
            break
        if (run := chosen(record, wanted)) is not None:
            found.append(run)
    return found[::-1]


def _bounded(records: Sequence[RunRecord], wanted: Filter) -> tuple[list[Run], int]:
    """The newest that one message takes, and how many it has no room for."""
    runs = _newest(records, wanted, len(records))
    return runs[-MAX_RUNS_A_MESSAGE:], max(0, len(runs) - MAX_RUNS_A_MESSAGE)

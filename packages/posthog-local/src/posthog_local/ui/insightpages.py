"""The pages that ask about many events at once: the SQL console and trends.

Owns their forms and how an answer looks. A question stands in the page's address, so that a link
is a saved chart. What cannot be answered is said on the page, beside what was asked.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.query.analyst import Analyst
from posthog_local.query.console import answer
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.trends import MATHS, Interval, Line, Trend, intervals, lines_of, sql_of
from posthog_local.ui.render import Renderer

_EXAMPLE = (
    "SELECT event, count() AS events, uniq(person_id) AS persons\n"
    "FROM events\nWHERE timestamp > now() - INTERVAL 7 DAY\nGROUP BY event\nORDER BY events DESC"
)
_INTERVALS: tuple[Interval, ...] = get_args(Interval)
_DAYS = (1, 7, 30, 90)
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 1000, 300, 60, 30
_RIGHT = 970  # room for half a label


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A line with its points in the chart's own units."""

    line: Line
    points: str


class InsightPages:
    """Handlers of the console and the trends."""

    def __init__(self, analyst: Analyst, renderer: Renderer) -> None:
        self._analyst = analyst
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """Both pages."""
        return [Route("/sql", self.sql), Route("/insights", self.trends)]

    async def sql(self, request: Request) -> Response:
        text = request.query_params.get("q", "").strip()
        if not text:
            return self._page("sql.html", "sql", text=_EXAMPLE, result=None, error="", took_ms=0)
        started = time.perf_counter()
        result, error = None, ""
        try:
            result = await answer(self._analyst, text)
        except QueryRefused as refused:
            error = str(refused)
        took_ms = round((time.perf_counter() - started) * 1000)
        return self._page("sql.html", "sql", text=text, result=result, error=error, took_ms=took_ms)

    async def trends(self, request: Request) -> Response:
        trend = _trend(request)
        now = datetime.now(UTC)
        begins, lines, error = intervals(trend, now), list[Line](), ""
        try:
            lines = lines_of((await self._analyst.ask(*sql_of(trend, now))).rows, begins)
        except QueryRefused as refused:
            error = str(refused)
        top = max((value for line in lines for value in line.values), default=0)
        return self._page(
            "trends.html",
            "trends",
            trend=trend,
            error=error,
            lines=[_drawn(line, top) for line in lines],
            begins=begins,
            labels=_labels(trend, begins),
            top=top,
            size=(_WIDTH, _HEIGHT, _LEFT, _BOTTOM),
            choices={"math": list(MATHS), "interval": _INTERVALS, "days": _DAYS},
        )

    def _page(self, template: str, section: str, **values: Any) -> Response:
        return self._renderer.page(template, section=section, **values)


def _trend(request: Request) -> Trend:
    """The asked trend; a choice that does not exist falls back to the usual one."""
    asked = {name: request.query_params.get(name, "").strip() for name in Trend.__struct_fields__}
    usual = Trend()
    days = asked["days"]
    return Trend(
        event=asked["event"] or None,
        breakdown=asked["breakdown"] or None,
        math=asked["math"] if asked["math"] in MATHS else usual.math,
        interval=next((one for one in _INTERVALS if one == asked["interval"]), usual.interval),
        days=int(days) if days in map(str, _DAYS) else usual.days,
    )


def _drawn(line: Line, top: int) -> Drawn:
    across = (_RIGHT - _LEFT) / max(1, len(line.values) - 1)
    scale = (_HEIGHT - _BOTTOM - 10) / max(1, top)
    points = (
        f"{_LEFT + number * across:.1f},{_HEIGHT - _BOTTOM - value * scale:.1f}"
        for number, value in enumerate(line.values)
    )
    return Drawn(line=line, points=" ".join(points))


def _labels(trend: Trend, begins: list[datetime]) -> list[tuple[float, str]]:
    """A few of the intervals, with where they stand."""
    across = (_RIGHT - _LEFT) / max(1, len(begins) - 1)
    every = max(1, -(-len(begins) // 8))
    shape = "%d %b %H:%M" if trend.interval == "hour" else "%d %b"
    return [
        (_LEFT + number * across, begin.strftime(shape))
        for number, begin in enumerate(begins)
        if number % every == 0
    ]

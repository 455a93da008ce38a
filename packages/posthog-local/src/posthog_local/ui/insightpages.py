"""The pages that ask about many events at once: trends, funnels, the SQL console, saved charts.

Owns their forms and how an answer looks. A question stands in the page's address; saving a chart
keeps that address under a name. What cannot be answered is said beside what was asked.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from posthog_local.query import funnels
from posthog_local.query.analyst import Analyst
from posthog_local.query.console import answer, tables_beside
from posthog_local.query.funnels import MAX_STEPS, MIN_STEPS, Funnel, Step, steps_of
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.tables import TABLES
from posthog_local.query.trends import MATHS, Interval, Line, Trend, intervals, lines_of, sql_of
from posthog_local.store import chartshelf
from posthog_local.store.reader import EventFilter
from posthog_local.store.store import Store
from posthog_local.ui.chart import BOTTOM, HEIGHT, LEFT, WIDTH, chart_of, chart_of_table
from posthog_local.ui.forms import first, form_fields, see_other
from posthog_local.ui.render import Renderer

_EXAMPLE = (
    "SELECT event, count() AS events, uniq(person_id) AS persons\n"
    "FROM events\nWHERE timestamp > now() - INTERVAL 7 DAY\nGROUP BY event\nORDER BY events DESC"
)
_INTERVALS: tuple[Interval, ...] = get_args(Interval)
_DAYS = (1, 7, 30, 90)
_WINDOWS = {1: "an hour", 24: "a day", 168: "a week", 720: "30 days"}
_SHAPES = ("table", "lines", "bars")
_SAVED_FROM = ("/insights", "/funnels", "/sql")
_MAX_ADDRESS = 20_000
_SUGGESTIONS = 500
_LOOKED_AT = 100


class InsightPages:
    """Handlers over the warehouse, and the store that keeps charts."""

    def __init__(self, store: Store, analyst: Analyst, renderer: Renderer) -> None:
        self._store = store
        self._analyst = analyst
        self._renderer = renderer

    def routes(self) -> list[Route]:
        """Every page."""
        return [
            Route("/sql", self.sql),
            Route("/insights", self.trends),
            Route("/funnels", self.funnel),
            Route("/saved", self.saved),
            Route("/saved/save", self.save, methods=["POST"]),
            Route("/saved/delete", self.delete, methods=["POST"]),
        ]

    async def sql(self, request: Request) -> Response:
        text = request.query_params.get("q", "").strip()
        shape = _choice(request, "show", _SHAPES)
        result, chart, error = None, None, ""
        started = time.perf_counter()
        try:
            result = await answer(self._analyst, text) if text else None
        except QueryRefused as refused:
            error = str(refused)
        if result is not None and shape != "table":
            chart = chart_of_table(result.columns, result.results, shape)
            if chart is None:
                error = "a chart needs a column of labels, then columns of numbers"
        return self._page(
            "sql.html",
            "sql",
            request,
            text=text or _EXAMPLE,
            result=result,
            chart=chart,
            error=error,
            took_ms=round((time.perf_counter() - started) * 1000),
            shape=shape,
            shapes=_SHAPES,
            tables=TABLES,
            beside=tables_beside(self._analyst).names,
        )

    async def trends(self, request: Request) -> Response:
        trend = _trend(request)
        now = datetime.now(UTC)
        begins, lines, error = intervals(trend, now), list[Line](), ""
        try:
            lines = lines_of((await self._analyst.ask(*sql_of(trend, now))).rows, begins)
        except QueryRefused as refused:
            error = str(refused)
        shape = "%d %b %H:%M" if trend.interval == "hour" else "%d %b"
        every = "every event" if trend.event is None else trend.event
        named = [(line.name if trend.breakdown else every, line.values) for line in lines]
        return self._page(
            "trends.html",
            "trends",
            request,
            trend=trend,
            error=error,
            chart=chart_of(named, [begin.strftime(shape) for begin in begins]) if lines else None,
            choices={"math": list(MATHS), "interval": _INTERVALS, "days": _DAYS},
            names=await self._names(),
            properties=await self._properties(trend.event),
        )

    async def funnel(self, request: Request) -> Response:
        funnel = _funnel(request)
        steps, error = list[Step](), ""
        if len(funnel.steps) >= MIN_STEPS:
            try:
                found = await self._analyst.ask(*funnels.sql_of(funnel, datetime.now(UTC)))
                steps = steps_of(funnel, found.rows)
            except QueryRefused as refused:
                error = str(refused)
        room = (*funnel.steps, *[""] * MAX_STEPS)[: max(3, min(MAX_STEPS, len(funnel.steps) + 1))]
        choices = {"days": _DAYS, "window": _WINDOWS}
        return self._page(
            "funnels.html",
            "trends",
            request,
            funnel=funnel,
            room=room,
            steps=steps,
            error=error,
            choices=choices,
            names=await self._names(),
        )

    async def saved(self, request: Request) -> Response:
        found = await self._store.read(lambda view: chartshelf.charts(view.connection))
        return self._page("saved.html", "trends", request, charts=found)

    async def save(self, request: Request) -> Response:
        fields = await form_fields(request)
        name, address = first(fields, "name").strip(), first(fields, "address")
        if not name or len(name) > 200 or len(address) > _MAX_ADDRESS:
            return Response("a chart needs a name of at most 200 characters", 400)
        if address.partition("?")[0] not in _SAVED_FROM:
            return Response("this is no page whose question can be kept", 400)
        await self._store.change(chartshelf.save(name, address, time.time_ns() // 1000))
        return see_other("/saved")

    async def delete(self, request: Request) -> Response:
        text = first(await form_fields(request), "id")
        if text.isascii() and text.isdigit() and len(text) < 16:
            await self._store.change(chartshelf.delete(int(text)))
        return see_other("/saved")

    async def _names(self) -> list[str]:
        """What the fields for events suggest."""
        return await self._store.read(lambda view: view.events.names(_SUGGESTIONS))

    async def _properties(self, event: str | None) -> list[str]:
        """What the fields for properties suggest: those of the latest events, one's own first."""
        wanted = EventFilter(event=event)
        found = await self._store.read(lambda view: view.events.latest_events(wanted, _LOOKED_AT))
        names = {name for one in found for name in one.properties}
        return sorted(names, key=lambda name: (name.startswith("$"), name))[:_SUGGESTIONS]

    def _page(self, template: str, section: str, request: Request, **values: Any) -> Response:
        query = request.url.query
        return self._renderer.page(
            template,
            section=section,
            address=f"{request.url.path}?{query}" if query else "",
            size=(WIDTH, HEIGHT, LEFT, BOTTOM),
            **values,
        )


def _trend(request: Request) -> Trend:
    """The asked trend; a choice that does not exist falls back to the usual one."""
    asked = {name: request.query_params.get(name, "").strip() for name in Trend.__struct_fields__}
    usual = Trend()
    return Trend(
        event=asked["event"] or None,
        breakdown=asked["breakdown"] or None,
        math=asked["math"] if asked["math"] in MATHS else usual.math,
        interval=next((one for one in _INTERVALS if one == asked["interval"]), usual.interval),
        days=_days(request, usual.days),
    )


def _funnel(request: Request) -> Funnel:
    steps = [step.strip() for step in request.query_params.getlist("step") if step.strip()]
    window = request.query_params.get("window", "")
    usual = Funnel(steps=())
    return Funnel(
        steps=tuple(steps[:MAX_STEPS]),
        window_hours=int(window) if window in map(str, _WINDOWS) else usual.window_hours,
        days=_days(request, usual.days),
    )


def _days(request: Request, usual: int) -> int:
    text = request.query_params.get("days", "")
    return int(text) if text in map(str, _DAYS) else usual


def _choice(request: Request, name: str, choices: tuple[str, ...]) -> str:
    text = request.query_params.get(name, "")
    return text if text in choices else choices[0]

"""The page of trends.

Owns its form: series in rows, what they share below.
"""

from __future__ import annotations

from datetime import datetime
from itertools import zip_longest
from typing import get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.insights import Insights
from posthog_local.query.period import Interval, Period, before, intervals
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.trends import COUNTS, MAX_SERIES, NUMBERS, Line, Series, Trend
from posthog_local.ui.chart import MAX_LINES, Chart, chart_of
from posthog_local.ui.insights.asked import Asked, property_of
from posthog_local.ui.insights.desk import Desk

_INTERVALS: tuple[Interval, ...] = get_args(Interval)
_SHAPES = ("lines", "bars")
_MATHS = {
    "total": "events",
    "persons": "persons",
    "sessions": "sessions",
    "sum": "sum of",
    "avg": "average of",
    "median": "median of",
    "min": "lowest of",
    "max": "highest of",
    **{name: f"{name} of" for name in NUMBERS if name.startswith("p")},
}
_MOST_ROWS = 400


class SeriesRow(msgspec.Struct, frozen=True):
    """One series as it stands in the form."""

    event: str = ""
    math: str = "total"
    of: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A line with its name on the page, and how it was before."""

    name: str
    line: Line
    earlier: Line | None


async def trends_page(desk: Desk, request: Request) -> Response:
    """Answers what the address asks."""
    asked, insights = Asked(request.query_params), desk.insights()
    rows, time = _rows(asked), asked.time()
    interval = asked.choice("interval", _INTERVALS, "day")
    compare, shape = asked.text("compare") == "on", asked.choice("show", _SHAPES, "lines")
    shown, begins, error = list[Shown](), list[datetime](), ""
    try:
        trend = Trend(
            series=tuple(map(_series, rows)),
            interval=interval,
            where=asked.parts(),
            breakdown=asked.property("breakdown"),
        )
        period = time.period(insights.now, interval)
        begins = intervals(period, interval)
        shown = await _shown(insights, trend, period, compare=compare)
    except QueryRefused as refused:
        error = str(refused)
    labels = [begin.strftime(_FORMATS[interval]) for begin in begins]
    room = (*rows, SeriesRow())[:MAX_SERIES]
    return desk.page(
        "trends.html",
        request,
        error=error,
        shown=shown,
        chart=_chart(shown, labels, bars=shape == "bars") if shown else None,
        labels=labels[-_MOST_ROWS:],
        room=room,
        most=MAX_LINES,
        time=time,
        interval=interval,
        breakdown=asked.text("breakdown"),
        compare=compare,
        shape=shape,
        choices={"math": _MATHS, "interval": _INTERVALS, "show": _SHAPES},
        **await desk.form(request, rows[0].event or None if len(rows) == 1 else None),
    )


_FORMATS: dict[Interval, str] = {
    "hour": "%d %b %H:%M",
    "day": "%d %b",
    "week": "%d %b",
    "month": "%b %Y",
}


def _rows(asked: Asked) -> tuple[SeriesRow, ...]:
    """The filled rows; without any, one that counts every event."""
    found = zip_longest(asked.texts("event"), asked.texts("math"), asked.texts("of"), fillvalue="")
    known = {*COUNTS, *NUMBERS}
    rows = [SeriesRow(event, math if math in known else "total", of) for event, math, of in found]
    filled = [row for at, row in enumerate(rows) if at == 0 or row.event or row.math != "total"]
    return tuple(filled[:MAX_SERIES]) or (SeriesRow(),)


def _series(row: SeriesRow) -> Series:
    return Series(event=row.event or None, math=row.math, of=property_of(row.of))


async def _shown(insights: Insights, trend: Trend, period: Period, *, compare: bool) -> list[Shown]:
    found = []
    for one in trend.series:
        lines = await insights.lines(trend, one, period)
        earlier = dict[str, Line]()
        if compare:
            past = await insights.lines(trend, one, before(period, trend.interval))
            earlier = {line.name: line for line in past}
        for line in lines:
            name = _name(trend, one, line)
            found.append(Shown(name=name, line=line, earlier=earlier.get(line.name)))
    return found


def _name(trend: Trend, one: Series, line: Line) -> str:
    """What a line is called: by what it counts, by the value that it is of, or by both."""
    if trend.breakdown is None:
        return _counted(one)
    return line.name if len(trend.series) == 1 else f"{_counted(one)}: {line.name}"


def _counted(one: Series) -> str:
    event = one.event or "every event"
    if one.math == "total":
        return event
    counted = _MATHS[one.math] if one.of is None else f"{_MATHS[one.math]} {one.of}"
    return f"{event}, {counted}"


def _chart(shown: list[Shown], labels: list[str], *, bars: bool) -> Chart:
    return chart_of(
        [(one.name, one.line.values) for one in shown],
        labels,
        bars=bars,
        earlier=[() if one.earlier is None else one.earlier.values for one in shown],
    )

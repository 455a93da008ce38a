"""PostHog's query nodes other than SQL: trends, funnels, and the list of issues.

Owns how a node is read and the shape of its answer. What a node asks beyond what is here is refused
by name, never answered as if it had not been asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from posthog_local.api.issues import shown as issue_shown
from posthog_local.query import funnels, trends
from posthog_local.query.analyst import Analyst
from posthog_local.query.funnels import MAX_STEPS, MIN_STEPS, Funnel
from posthog_local.query.trends import STEPS, Interval, Trend
from posthog_local.store.store import Store

_AGO = re.compile(r"-(\d{1,4})([hdwm])")
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0}
_HOURS = {"minute": 1 / 60, "hour": 1.0, "day": 24.0, "week": 168.0, "month": 720.0}
_MATHS = {None: "total", "total": "total", "dau": "persons", "unique_users": "persons"}
_MAX_ISSUES = 1000


class _Dates(msgspec.Struct, frozen=True):
    date_from: str | None = None


class _Node(msgspec.Struct, frozen=True):
    kind: str = "EventsNode"
    event: str | None = None
    math: str | None = None
    name: str | None = None
    properties: list[Any] | None = None


class _Breakdown(msgspec.Struct, frozen=True):
    breakdown: str | None = None
    breakdown_type: str | None = "event"


class _Window(msgspec.Struct, frozen=True):
    size: int = msgspec.field(name="funnelWindowInterval", default=14)
    unit: str = msgspec.field(name="funnelWindowIntervalUnit", default="day")


class InsightNode(msgspec.Struct, frozen=True):
    """The fields that the nodes share, as far as they are known here."""

    kind: str
    series: tuple[_Node, ...] = ()
    interval: Interval = "day"
    dates: _Dates = msgspec.field(name="dateRange", default=_Dates())
    breakdown: _Breakdown = msgspec.field(name="breakdownFilter", default=_Breakdown())
    window: _Window = msgspec.field(name="funnelsFilter", default=_Window())
    properties: list[Any] | None = None
    status: str | None = None
    limit: int = 50


async def insight(node: InsightNode, store: Store, analyst: Analyst) -> list[dict[str, Any]]:
    """The results of a node; `ValueError` names what it asks that is not here."""
    if node.properties or any(one.properties for one in node.series):
        raise ValueError("filters by properties are not supported here; HogQLQuery is")
    now = datetime.now(UTC)
    match node.kind:
        case "TrendsQuery":
            return [line for one in node.series for line in await _trend(node, one, analyst, now)]
        case "FunnelsQuery":
            return await _funnel(node, analyst, now)
        case "ErrorTrackingQuery":
            return await _issues(node, store)
        case other:
            known = "HogQLQuery, TrendsQuery, FunnelsQuery and ErrorTrackingQuery are"
            raise ValueError(f"queries of kind {other!r} are not supported; {known}")


async def _trend(
    node: InsightNode, one: _Node, analyst: Analyst, now: datetime
) -> list[dict[str, Any]]:
    if one.math not in _MATHS:
        raise ValueError(f"the math {one.math!r} is not supported; total and dau are")
    if node.breakdown.breakdown is not None and node.breakdown.breakdown_type != "event":
        raise ValueError("a breakdown is by a property of the event")
    trend = Trend(
        event=one.event,
        math=_MATHS[one.math],
        interval=node.interval,
        days=_days(node.dates, now),
        breakdown=node.breakdown.breakdown,
    )
    begins = trends.intervals(trend, now)
    answer = await analyst.ask(*trends.sql_of(trend, now))
    lines = trends.lines_of(answer.rows, begins)
    name = one.name or one.event or "All events"
    if not lines and trend.breakdown is None:
        lines = [trends.Line(name="all", values=(0,) * len(begins))]
    return [
        {
            "label": line.name if trend.breakdown else name,
            "count": line.total,
            "data": line.values,
            "days": [_day(begin, trend.interval) for begin in begins],
            "labels": [begin.strftime("%-d-%b-%Y") for begin in begins],
            "breakdown_value": line.name if trend.breakdown else None,
            "action": {"id": one.event, "type": "events", "math": one.math or "total"},
        }
        for line in lines
    ]


async def _funnel(node: InsightNode, analyst: Analyst, now: datetime) -> list[dict[str, Any]]:
    steps = tuple(one.event or "" for one in node.series)
    if not MIN_STEPS <= len(steps) <= MAX_STEPS or not all(steps):
        raise ValueError(f"a funnel has {MIN_STEPS} to {MAX_STEPS} steps, each with an event")
    unit = _HOURS.get(node.window.unit)
    if unit is None or not 0 < node.window.size <= 1000:
        raise ValueError(f"the window {node.window.size} {node.window.unit} is not supported")
    hours = max(1, round(unit * node.window.size))
    funnel = Funnel(steps=steps, window_hours=hours, days=_days(node.dates, now))
    answer = await analyst.ask(*funnels.sql_of(funnel, now))
    return [
        {
            "action_id": step.event,
            "name": step.event,
            "order": order,
            "type": "events",
            "count": step.persons,
            "median_conversion_time": step.median_s,
        }
        for order, step in enumerate(funnels.steps_of(funnel, answer.rows))
    ]


async def _issues(node: InsightNode, store: Store) -> list[dict[str, Any]]:
    found = await store.read(lambda view: view.issues.latest(_MAX_ISSUES))
    wanted = [one for one in found if node.status in (None, "all", one.status)]
    return [dict(issue_shown(one)) for one in wanted[: max(0, node.limit)]]


def _days(dates: _Dates, now: datetime) -> int:
    text = dates.date_from or "-7d"
    if (match := _AGO.fullmatch(text)) is not None:
        return max(1, round(int(match[1]) * _DAYS[match[2]]))
    try:
        begin = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"date_from {text!r} is neither a day nor like -7d") from None
    if begin.tzinfo is None:
        begin = begin.replace(tzinfo=UTC)
    return max(1, (now - begin).days + 1)


def _day(begin: datetime, interval: Interval) -> str:
    return begin.isoformat(sep=" ") if STEPS[interval].days == 0 else begin.date().isoformat()


def answer_of(results: Sequence[Mapping[str, Any]], now: str) -> dict[str, Any]:
    """Results in the frame of PostHog's answer."""
    return {
        "results": results,
        "hasMore": False,
        "timings": [],
        "is_cached": False,
        "last_refresh": now,
        "error": None,
    }

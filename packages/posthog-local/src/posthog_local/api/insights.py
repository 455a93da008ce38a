"""PostHog's query nodes other than SQL, answered: trends, funnels, retention, the list of issues.

Owns the shape of an answer. How a node is read stands in `nodes`; what is not here is refused by
name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from posthog_local.api.issues import shown as issue_shown
from posthog_local.api.nodes import (
    Compare,
    Entity,
    FunnelFields,
    InsightNode,
    RetentionEntity,
    RetentionFields,
    TrendFields,
    parts_of,
)
from posthog_local.query.analyst import Analyst
from posthog_local.query.funnels import MAX_STEPS, MIN_STEPS, Funnel, Stage, Steps
from posthog_local.query.insights import Insights
from posthog_local.query.period import Interval, Period, before, intervals
from posthog_local.query.returns import MAX_ROWS, MIN_ROWS, Retention
from posthog_local.query.trends import NONE, OTHER, Line, Series, Trend
from posthog_local.store.store import Store

_MAX_ISSUES = 1000
# Displays of one number a line.
_TOTALS = ("BoldNumber", "ActionsPie", "ActionsBarValue", "ActionsTable", "WorldMap")
_RETENTIONS = {"retention_recurring": False, "retention_first_time": True}
# What PostHog calls lines that are of no value, or of many.
_VALUES = {NONE: "$$_posthog_breakdown_null_$$", OTHER: "$$_posthog_breakdown_other_$$"}
_LABELS = {NONE: "None (i.e. no value)", OTHER: "Other (i.e. all remaining values)"}


async def insight(node: InsightNode, store: Store, analyst: Analyst) -> list[Any]:
    """The results of a node; `ValueError` or `QueryRefused` names what it asks that is not here."""
    insights = Insights(analyst, store.flags.cohorts, datetime.now(UTC))
    if node.group_type is not None:
        raise ValueError("aggregation by group is not supported; persons are counted")
    match node.kind:
        case "TrendsQuery":
            return await _trends(node, insights)
        case "FunnelsQuery":
            return await _funnel(node, insights)
        case "RetentionQuery":
            return await _retention(node, insights)
        case "ErrorTrackingQuery":
            return await _issues(node, store)
        case other:
            known = "HogQLQuery, TrendsQuery, FunnelsQuery, RetentionQuery and ErrorTrackingQuery"
            raise ValueError(f"queries of kind {other!r} are not supported; {known} are")


async def _trends(node: InsightNode, insights: Insights) -> list[Any]:
    asked, compare = node.trend or TrendFields(), node.compare or Compare()
    if asked.formula or asked.formulas:
        raise ValueError("formulas are not supported; ask for the series by themselves")
    if compare.compare and compare.compare_to:
        raise ValueError("compare_to is not supported; the time just before is compared with")
    period, results = node.period(insights.now), list[Any]()
    times = {"current": period}
    if compare.compare:
        times["previous"] = before(period, node.interval)
    trend = Trend(interval=node.interval, where=parts_of(node.properties), breakdown=node.split_by)
    for entity in node.series:
        one = Series(
            event=_event(entity),
            math=entity.counted,
            of=entity.of,
            where=parts_of(entity.properties),
        )
        for label, time in times.items():
            lines = await insights.lines(trend, one, time)
            compared = {"compare": True, "compare_label": label} if compare.compare else {}
            for line in lines or _empty(trend, time):
                # A display of one number is of the whole time.
                whole = {"aggregated_value": line.whole} if asked.display in _TOTALS else {}
                results.append({**_line_shown(line, trend, entity, time), **whole, **compared})
    return results


def _empty(trend: Trend, period: Period) -> list[Line]:
    """A series without an event is a line of zeros, unless it is split."""
    if trend.breakdown is not None:
        return []
    zeros = (0,) * len(intervals(period, trend.interval))
    return [Line(name="all", values=zeros, whole=0)]


def _line_shown(line: Line, trend: Trend, entity: Entity, period: Period) -> dict[str, Any]:
    begins = intervals(period, trend.interval)
    name = entity.custom_name or entity.name or entity.event or "All events"
    split = trend.breakdown is not None
    return {
        "label": _LABELS.get(line.name, line.name) if split else name,
        "count": line.total,
        "data": line.values,
        "days": [_day(begin, trend.interval) for begin in begins],
        "labels": [begin.strftime("%-d-%b-%Y") for begin in begins],
        "breakdown_value": _VALUES.get(line.name, line.name) if split else None,
        "action": {"id": entity.event, "type": "events", "math": entity.math or "total"},
    }


async def _funnel(node: InsightNode, insights: Insights) -> list[Any]:
    stages = tuple(Stage(event=_event(one), where=parts_of(one.properties)) for one in node.series)
    if not MIN_STEPS <= len(stages) <= MAX_STEPS:
        raise ValueError(f"a funnel has {MIN_STEPS} to {MAX_STEPS} steps")
    funnel = Funnel(
        stages=stages,
        window_hours=(node.funnel or FunnelFields()).window_hours,
        where=parts_of(node.properties),
        breakdown=node.split_by,
    )
    lines = await insights.steps(funnel, node.period(insights.now))
    if funnel.breakdown is None:
        return _steps_shown(node, lines[0])
    return [_steps_shown(node, line) for line in lines]


def _steps_shown(node: InsightNode, line: Steps) -> list[Any]:
    split = {} if line.name is None else {
        "breakdown": [_VALUES.get(line.name, line.name)],
        "breakdown_value": [_VALUES.get(line.name, line.name)],
    }  # fmt: skip
    return [
        {
            "action_id": entity.event,
            "name": entity.event,
            "custom_name": entity.custom_name,
            "order": order,
            "type": "events",
            "count": step.persons,
            "median_conversion_time": step.median_s,
            **split,
        }
        for order, (entity, step) in enumerate(zip(node.series, line.steps, strict=True))
    ]


async def _retention(node: InsightNode, insights: Insights) -> list[Any]:
    asked = node.retention or RetentionFields()
    if node.dates is not None and (node.dates.date_from or node.dates.date_to):
        raise ValueError("a retention ends now and has totalIntervals rows; leave dateRange out")
    if asked.kind not in _RETENTIONS:
        known = " and ".join(_RETENTIONS)
        raise ValueError(f"retentionType {asked.kind!r} is not supported; {known} are")
    if not MIN_ROWS <= asked.rows <= MAX_ROWS:
        raise ValueError(f"totalIntervals is {MIN_ROWS} to {MAX_ROWS} here")
    if node.split_by is not None:
        raise ValueError("a retention is not split by a property here")
    retention = Retention(
        begin=_named(asked.begin),
        back=_named(asked.back),
        begin_where=parts_of(asked.begin.properties),
        back_where=parts_of(asked.back.properties),
        where=parts_of(node.properties),
        interval=asked.interval,
        rows=asked.rows,
        first_time=_RETENTIONS[asked.kind],
    )
    return [
        {
            "date": row.begin.replace(tzinfo=UTC).isoformat(),
            "label": f"{asked.period} {number}",
            "values": [
                {"count": count, "label": f"{asked.period} {later}"}
                for later, count in enumerate((row.persons, *row.back))
            ],
        }
        for number, row in enumerate(await insights.rows(retention))
    ]


async def _issues(node: InsightNode, store: Store) -> list[Any]:
    found = await store.read(lambda view: view.issues.latest(_MAX_ISSUES))
    wanted = [one for one in found if node.status in (None, "all", one.status)]
    return [dict(issue_shown(one)) for one in wanted[: max(0, node.limit)]]


def _event(entity: Entity) -> str | None:
    if entity.kind != "EventsNode":
        raise ValueError(f"a series of kind {entity.kind!r} is not supported; EventsNode is")
    return entity.event


def _named(entity: RetentionEntity) -> str | None:
    if entity.type not in (None, "events"):
        raise ValueError(f"a retention of {entity.type!r} is not supported; of events it is")
    return None if entity.id is None else str(entity.id)


def _day(begin: datetime, interval: Interval) -> str:
    return begin.isoformat(sep=" ") if interval == "hour" else begin.date().isoformat()


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

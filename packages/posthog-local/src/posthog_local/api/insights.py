"""PostHog's query nodes other than SQL, answered: insights, and the list of issues.

Owns the shape of the answers of trends, funnels, retention and issues; those of paths, stickiness
and lifecycle stand in `habits`. How a node is read stands in `nodes`; what is not here is refused
by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from posthog_local.api import habits
from posthog_local.api.issues import shown as issue_shown
from posthog_local.api.nodes import (
    Compare,
    Entity,
    FormulaNode,
    FunnelFields,
    InsightNode,
    RetentionEntity,
    RetentionFields,
    TrendFields,
    day,
    event_of,
    parts_of,
)
from posthog_local.query.analyst import Analyst
from posthog_local.query.formula import Formula
from posthog_local.query.funnels import MAX_STEPS, MIN_STEPS, Funnel, Stage, Steps
from posthog_local.query.insights import Insights
from posthog_local.query.period import Period, before, intervals
from posthog_local.query.returns import MAX_ROWS, MIN_ROWS, Retention
from posthog_local.query.trends import NONE, OTHER, Line, Series, Trend
from posthog_local.store.store import Store

_MAX_ISSUES = 1000
_KNOWN = (
    "HogQLQuery, EventsQuery, TrendsQuery, FunnelsQuery, RetentionQuery, PathsQuery,"
    " StickinessQuery, LifecycleQuery, ExperimentQuery and ErrorTrackingQuery"
)
# Displays of one number a line.
_TOTALS = ("BoldNumber", "ActionsPie", "ActionsBarValue", "ActionsTable", "WorldMap")
_RETENTIONS = {"retention_recurring": False, "retention_first_time": True}
# What PostHog calls lines that are of no value, or of many.
_VALUES = {NONE: "$$_posthog_breakdown_null_$$", OTHER: "$$_posthog_breakdown_other_$$"}
_LABELS = {NONE: "None (i.e. no value)", OTHER: "Other (i.e. all remaining values)"}


async def insight(node: InsightNode, store: Store, analyst: Analyst, now: datetime) -> list[Any]:
    """The results of a node; `ValueError` or `QueryRefused` names what it asks that is not here."""
    insights = Insights(analyst, store.flags.cohorts, now)
    if node.group_type is not None:
        raise ValueError("aggregation by group is not supported; persons are counted")
    match node.kind:
        case "PathsQuery":
            return await habits.paths(node, insights)
        case "StickinessQuery":
            return await habits.stickiness(node, insights)
        case "LifecycleQuery":
            return await habits.lifecycle(node, insights)
        case "TrendsQuery":
            return await _trends(node, insights)
        case "FunnelsQuery":
            return await _funnel(node, insights)
        case "RetentionQuery":
            return await _retention(node, insights)
        case "ErrorTrackingQuery":
            return await _issues(node, store)
        case other:
            raise ValueError(f"queries of kind {other!r} are not supported; {_KNOWN} are")


async def _trends(node: InsightNode, insights: Insights) -> list[Any]:
    asked, compare = node.trend or TrendFields(), node.compare or Compare()
    if compare.compare and compare.compare_to:
        raise ValueError("compare_to is not supported; the time just before is compared with")
    period = node.period(insights.now)
    times = {"current": period}
    if compare.compare:
        times["previous"] = before(period, node.interval)
    trend = Trend(interval=node.interval, where=parts_of(node.properties), breakdown=node.split_by)
    shape = _Shape(trend, times, bool(compare.compare), asked.display in _TOTALS)
    found = [
        {label: await insights.lines(trend, _series(entity), time) for label, time in times.items()}
        for entity in node.series
    ]
    if asked.asked:
        return _formulas(asked.asked, found, shape)
    return [
        shape.shown(line, label, _named_as(entity), {"id": entity.event, "type": "events",
                    "math": entity.math or "total"})
        for entity, lines in zip(node.series, found, strict=True)
        for label in times
        for line in lines[label] or _empty(trend, times[label])
    ]  # fmt: skip


def _series(entity: Entity) -> Series:
    return Series(
        event=event_of(entity),
        math=entity.counted,
        of=entity.of,
        where=parts_of(entity.properties),
    )


def _named_as(entity: Entity) -> str:
    return entity.custom_name or entity.name or entity.event or "All events"


def _formulas(
    asked: Sequence[FormulaNode], found: Sequence[Mapping[str, list[Line]]], shape: _Shape
) -> list[Any]:
    """A line for each formula, and for each value that the series are split by."""
    results = list[Any]()
    for node in asked:
        formula = Formula(node.formula, len(found))
        name = node.custom_name or f"Formula ({node.formula})"
        for label, time in shape.times.items():
            series = [{line.name: line for line in lines[label]} for lines in found]
            names = dict.fromkeys(one for lines in series for one in lines)
            if shape.trend.breakdown is None:
                names = dict.fromkeys(["all"])
            none = Line(name="", values=(0,) * len(intervals(time, shape.trend.interval)), whole=0)
            for one in names:
                parts = [lines.get(one, none) for lines in series]
                columns = zip(*(part.values for part in parts), strict=True)
                line = Line(
                    name=one,
                    values=tuple(formula.of(column) for column in columns),
                    whole=formula.of([part.whole for part in parts]),
                )
                results.append(shape.shown(line, label, name, None))
    return results


def _empty(trend: Trend, period: Period) -> list[Line]:
    """A series without an event is a line of zeros, unless it is split."""
    if trend.breakdown is not None:
        return []
    zeros = (0,) * len(intervals(period, trend.interval))
    return [Line(name="all", values=zeros, whole=0)]


class _Shape(msgspec.Struct, frozen=True):
    """How a line is told: by its value, the time that it is of, or one number for all of that."""

    trend: Trend
    times: dict[str, Period]
    compared: bool
    one_number: bool

    def shown(
        self, line: Line, label: str, name: str, action: dict[str, Any] | None
    ) -> dict[str, Any]:
        """A line as PostHog tells it."""
        begins = intervals(self.times[label], self.trend.interval)
        split = self.trend.breakdown is not None
        result = {
            "label": _LABELS.get(line.name, line.name) if split else name,
            "count": line.total,
            "data": line.values,
            "days": [day(begin, self.trend.interval) for begin in begins],
            "labels": [begin.strftime("%-d-%b-%Y") for begin in begins],
            "breakdown_value": _VALUES.get(line.name, line.name) if split else None,
            "action": action,
        }
        # A display of one number is of the whole time.
        whole = {"aggregated_value": line.whole} if self.one_number else {}
        compared = {"compare": True, "compare_label": label} if self.compared else {}
        return {**result, **whole, **compared}


async def _funnel(node: InsightNode, insights: Insights) -> list[Any]:
    stages = tuple(
        Stage(event=event_of(one), where=parts_of(one.properties)) for one in node.series
    )
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


def _named(entity: RetentionEntity) -> str | None:
    if entity.type not in (None, "events"):
        raise ValueError(f"a retention of {entity.type!r} is not supported; of events it is")
    return None if entity.id is None else str(entity.id)


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

"""Paths, stickiness and lifecycle as PostHog's API tells them.

Owns the shape of these answers. What a question means stands in `query`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from posthog_local.api.nodes import (
    Compare,
    Entity,
    InsightNode,
    PathFields,
    StickinessFields,
    day,
    event_of,
    parts_of,
)
from posthog_local.query.insights import Insights
from posthog_local.query.lifecycle import Lifecycle
from posthog_local.query.period import before, intervals
from posthog_local.query.stickiness import Often, Stickiness


async def paths(node: InsightNode, insights: Insights) -> list[Any]:
    """The links between steps, the most frequent first."""
    links = (node.paths or PathFields()).links(parts_of(node.properties))
    return [
        {
            "source": one.source,
            "target": one.target,
            "value": one.visits,
            "average_conversion_time": one.took_s * 1000,
        }
        for one in await insights.path_links(links, node.period(insights.now))
    ]


async def stickiness(node: InsightNode, insights: Insights) -> list[Any]:
    """For each series, how many persons were there in one interval, in two, and so on."""
    asked, compare = node.stickiness or StickinessFields(), node.compare or Compare()
    period, results = node.period(insights.now), list[Any]()
    times = {"current": period}
    if compare.compare:
        times["previous"] = before(period, node.interval)
    for order, entity in enumerate(node.series):
        if entity.math not in (None, "total", "dau"):
            raise ValueError(f"stickiness by {entity.math!r} is not supported; persons are counted")
        habit = Stickiness(
            event=event_of(entity),
            where=(*parts_of(node.properties), *parts_of(entity.properties)),
            interval=node.interval,
            often=asked.often or Often(),
        )
        for label, time in times.items():
            persons = await insights.persons_by_intervals(habit, time)
            compared = {"compare": True, "compare_label": label} if compare.compare else {}
            shown = _stickiness_shown(node, asked, entity, persons)
            shown["action"]["order"] = order
            results.append({**shown, **compared})
    return results


def _stickiness_shown(
    node: InsightNode, asked: StickinessFields, entity: Entity, persons: Sequence[int]
) -> dict[str, Any]:
    numbers, name = range(1, len(persons) + 1), entity.custom_name or entity.event
    cumulative = asked.computed_as == "cumulative"
    whole = list(accumulate(reversed(persons)))[::-1]
    more = " or more" if cumulative else ""
    return {
        "count": sum(persons),
        "data": whole if cumulative else list(persons),
        "days": list(numbers),
        "label": name or "All events",
        "labels": [f"{one} {node.interval}{'' if one == 1 else 's'}{more}" for one in numbers],
        "action": {"type": "events", "name": name or "All events", "id": entity.event},
    }


async def lifecycle(node: InsightNode, insights: Insights) -> list[Any]:
    """New, returning, resurrecting and dormant persons of each interval."""
    if len(node.series) != 1:
        raise ValueError(f"a lifecycle is of one series, not of {len(node.series)}")
    [entity] = node.series
    life = Lifecycle(
        event=event_of(entity),
        where=(*parts_of(node.properties), *parts_of(entity.properties)),
        interval=node.interval,
    )
    period, name = node.period(insights.now), entity.event or "All events"
    begins = intervals(period, node.interval)
    hours = " %H:%M" if node.interval == "hour" else ""
    return [
        {
            "action": {"id": entity.event, "name": name, "type": "events", "order": 0,
                       "math": "total"},
            "data": persons,
            "count": sum(persons),
            "labels": [begin.strftime(f"%-d-%b-%Y{hours}") for begin in begins],
            "days": [day(begin, node.interval) for begin in begins],
            "label": f"{name} - {status}",
            "status": status,
        }
        for status, persons in (await insights.lives(life, period)).items()
    ]  # fmt: skip

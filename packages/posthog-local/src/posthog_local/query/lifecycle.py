"""Lifecycle: of the persons of each interval, who is new, came again, came back, or stayed away.

Owns the SQL of that question and the lists that it fills. A person is new in the interval in which
PostHog first heard of them, returning when they were there in the one before, and resurrecting
else; whoever was there in the interval before and is not now is dormant. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part
from posthog_local.query.period import Interval, Period, floor_sql, intervals, shifted

STATUSES = ("new", "returning", "resurrecting", "dormant")


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """The question: which event (None for any), in which intervals."""

    event: str | None = None
    where: tuple[Part, ...] = ()
    interval: Interval = "day"


def sql_of(
    asked: Lifecycle, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (interval's begin, status, persons)."""
    begins = intervals(period, asked.interval)
    # The interval before tells who was there; all of the last one counts.
    early, late = (shifted(begins[0], asked.interval, -1), shifted(begins[-1], asked.interval, 1))
    where = filters.both(
        Condition("timestamp >= ? AND timestamp < ?", (early, late)),
        filters.of_event(asked.event, asked.where, now, cohorts),
    )
    created = floor_sql(asked.interval, "min(person_created_at)")
    following = f"slot + INTERVAL 1 {asked.interval}"
    return (
        f"WITH active AS (SELECT person_id, {floor_sql(asked.interval)} AS slot,"
        f" {created} AS created FROM events_with_person WHERE {where.sql}"
        " GROUP BY person_id, slot),"
        " beside AS (SELECT slot, created, lag(slot) OVER whole AS before,"
        " lead(slot) OVER whole AS after FROM active"
        " WINDOW whole AS (PARTITION BY person_id ORDER BY slot)),"
        " told AS (SELECT slot, CASE WHEN before IS NULL AND created = slot THEN 'new'"
        f" WHEN before + INTERVAL 1 {asked.interval} = slot THEN 'returning'"
        " ELSE 'resurrecting' END AS status FROM beside UNION ALL"
        f" SELECT {following}, 'dormant' FROM beside WHERE after IS DISTINCT FROM {following})"
        " SELECT slot, status, count(*) FROM told GROUP BY ALL",
        [*where.values],
    )


def lists_of(rows: Sequence[tuple[Any, ...]], begins: Sequence[datetime]) -> dict[str, list[int]]:
    """Persons of each interval by their status; those who stayed away are below zero."""
    counts = {(begin, status): persons for begin, status, persons in rows}
    return {
        status: [
            counts.get((begin, status), 0) * (-1 if status == "dormant" else 1) for begin in begins
        ]
        for status in STATUSES
    }

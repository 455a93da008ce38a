"""Stickiness: in how many intervals of a time persons did something.

Owns the SQL of that question and the list that it fills. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part
from posthog_local.query.period import Interval, Period, floor, floor_sql

_SIGNS = {"gte": ">=", "lte": "<=", "exact": "="}


class Often(msgspec.Struct, frozen=True):
    """How often within an interval counts."""

    operator: Literal["gte", "lte", "exact"] = "gte"
    value: int = 1


class Stickiness(msgspec.Struct, frozen=True, kw_only=True):
    """The question: which event (None for any), in which intervals."""

    event: str | None = None
    where: tuple[Part, ...] = ()
    interval: Interval = "day"
    often: Often = Often()


def sql_of(
    asked: Stickiness, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (number of intervals, persons)."""
    where = filters.both(
        Condition("timestamp >= ? AND timestamp < ?",
                  (floor(period.begin, asked.interval), period.end)),
        filters.of_event(asked.event, asked.where, now, cohorts),
    )  # fmt: skip
    return (
        f"WITH active AS (SELECT person_id, {floor_sql(asked.interval)} AS slot"
        f" FROM {filters.view_for(person=where.person, person_id=True)} WHERE {where.sql}"
        f" GROUP BY ALL HAVING count(*) {_SIGNS[asked.often.operator]} ?),"
        " counted AS (SELECT person_id, count(*) AS intervals FROM active GROUP BY person_id)"
        " SELECT intervals, count(*) FROM counted GROUP BY intervals",
        [*where.values, asked.often.value],
    )


def persons_of(rows: Sequence[tuple[Any, ...]], intervals: int) -> list[int]:
    """Persons by the number of intervals, from one on.

    >>> persons_of([(2, 5)], 3)
    [0, 5, 0]
    """
    found = dict(rows)
    return [found.get(number, 0) for number in range(1, intervals + 1)]

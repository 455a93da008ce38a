"""Funnels: how many persons did one thing after another, in time.

Owns the SQL of that question. A person counts for a step when they did it after the step before,
within the window that begins with their first step; any of their first steps may be the one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

MIN_STEPS, MAX_STEPS = 2, 6


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """The question: events in their order, how long a person may take, over which time."""

    steps: tuple[str, ...]
    window_hours: int = 24
    days: int = 30


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: who came this far, and how long the median of them took since the step before."""

    event: str
    persons: int
    median_s: float | None
    of_first: float
    of_previous: float


def sql_of(funnel: Funnel, now: datetime) -> tuple[str, list[Any]]:
    """The question for the warehouse: one row a step, of (number, persons, median seconds)."""
    begin = (now.astimezone(UTC) - timedelta(days=funnel.days)).replace(tzinfo=None)
    window = f"INTERVAL {funnel.window_hours} HOUR"
    parts = [
        "happened AS (SELECT person_id, event, timestamp AS moment FROM events_of_person"
        " WHERE timestamp >= ? AND list_contains(?, event))",
        "s1 AS (SELECT DISTINCT person_id, moment AS began, moment, NULL::DOUBLE AS took"
        " FROM happened WHERE event = ?)",
    ]
    values: list[Any] = [begin, list(funnel.steps), funnel.steps[0]]
    for number, event in enumerate(funnel.steps[1:], 2):
        parts.append(
            # The nearest later moment alone: time grows with the events, not with their square.
            f"s{number} AS (SELECT s.person_id, s.began, h.moment,"  # noqa: S608  # numbers
            f" epoch(h.moment) - epoch(s.moment) AS took FROM s{number - 1} s ASOF JOIN"
            f" (SELECT person_id, moment FROM happened WHERE event = ?) h"
            f" ON h.person_id = s.person_id AND s.moment < h.moment"
            f" WHERE h.moment <= s.began + {window})"
        )
        values.append(event)
    rows = [
        f"SELECT {number} AS step, count(DISTINCT person_id) AS persons, median(took) AS took"  # noqa: S608
        f" FROM s{number}"
        for number in range(1, len(funnel.steps) + 1)
    ]
    return f"WITH {', '.join(parts)} {' UNION ALL '.join(rows)} ORDER BY step", values


def steps_of(funnel: Funnel, rows: Sequence[tuple[Any, ...]]) -> list[Step]:
    """The steps with their shares.

    >>> [one.of_first for one in steps_of(Funnel(steps=("a", "b")), [(1, 4, None), (2, 1, 2.5)])]
    [1.0, 0.25]
    """
    persons = [row[1] for row in rows]
    return [
        Step(
            event=event,
            persons=persons[at],
            median_s=rows[at][2],
            of_first=persons[at] / persons[0] if persons[0] else 0.0,
            of_previous=persons[at] / persons[max(0, at - 1)] if persons[max(0, at - 1)] else 0.0,
        )
        for at, event in enumerate(funnel.steps)
    ]

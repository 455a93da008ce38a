"""Funnels: how many persons did one thing after another, in time.

Owns the SQL of that question. A person counts for a step when they did it after the step before,
within the window that begins with their first step; any of their first steps may be the one. Split
by a property, a person counts in each line that one of their first steps belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part, Property
from posthog_local.query.period import Period
from posthog_local.query.trends import NONE

MIN_STEPS, MAX_STEPS = 2, 6
MAX_LINES = 6
#: So many persons are listed of those who came to a step, or did not.
LISTED = 100


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What a person does to come a step further: an event (None for any), filtered by what."""

    event: str | None
    where: tuple[Part, ...] = ()


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """The question: steps in their order, how long a person may take, filtered and split how."""

    stages: tuple[Stage, ...] = ()
    window_hours: float = 24
    where: tuple[Part, ...] = ()
    breakdown: Property | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: who came this far, and how long the median of them took since the step before."""

    event: str
    persons: int
    median_s: float | None
    of_first: float
    of_previous: float


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of everybody, or of one value of the property that the funnel is split by."""

    name: str | None
    steps: tuple[Step, ...]


def sql_of(
    funnel: Funnel, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (line, step's number, persons, median seconds)."""
    made, values = _stages(funnel, period, now, cohorts)
    rows = [
        f"SELECT name, {number} AS step, count(DISTINCT person_id) AS persons,"
        f" median(took) AS took FROM s{number} GROUP BY name"
        for number in range(1, len(funnel.stages) + 1)
    ]
    return f"WITH {made} {' UNION ALL '.join(rows)}", values


def persons_sql(
    funnel: Funnel, period: Period, step: int, now: datetime, cohorts: Cohorts, *, gone: bool
) -> tuple[str, list[Any]]:
    """Who came to a step, or who came to the one before and no further: rows of a distinct id each.

    Whoever was there last comes first.
    """
    made, values = _stages(funnel, period, now, cohorts)
    where = f"WHERE person_id NOT IN (SELECT person_id FROM s{step})" if gone else ""
    sql = (
        f"WITH {made} SELECT any_value(distinct_id), max(moment)"
        f" FROM s{step - 1 if gone else step} {where}"
        f" GROUP BY person_id ORDER BY max(moment) DESC LIMIT {LISTED + 1}"
    )
    return sql, values


def steps_of(funnel: Funnel, rows: Sequence[tuple[Any, ...]]) -> list[Steps]:
    """The steps with their shares, the lines that most persons began first.

    >>> funnel = Funnel(stages=(Stage(event="a"), Stage(event="b")))
    >>> [one.of_first for one in steps_of(funnel, [(None, 1, 4, None), (None, 2, 1, 2.5)])[0].steps]
    [1.0, 0.25]
    """
    found: dict[str | None, dict[int, tuple[int, float | None]]] = {}
    for name, number, persons, took in rows:
        found.setdefault(name, {})[number] = (persons, took)
    if not found and funnel.breakdown is None:
        found[None] = {}
    lines = [Steps(name=name, steps=_shares(funnel, counts)) for name, counts in found.items()]
    return sorted(lines, key=lambda one: (-one.steps[0].persons, one.name or ""))[:MAX_LINES]


def _shares(funnel: Funnel, counts: dict[int, tuple[int, float | None]]) -> tuple[Step, ...]:
    numbers = range(1, len(funnel.stages) + 1)
    persons = [counts.get(number, (0, None))[0] for number in numbers]
    return tuple(
        Step(
            event=stage.event or "any event",
            persons=persons[at],
            median_s=counts.get(at + 1, (0, None))[1],
            of_first=_share(persons[at], persons[0]),
            of_previous=_share(persons[at], persons[max(0, at - 1)]),
        )
        for at, stage in enumerate(funnel.stages)
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _stages(
    funnel: Funnel, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """CTEs `s1`, `s2` …: every way in which a person came to that step."""
    conditions = [
        filters.of_event(one.event, (*funnel.where, *one.where), now, cohorts)
        for one in funnel.stages
    ]
    picked, values = _picked(funnel, conditions, period)
    parts = [
        picked,
        "s1 AS (SELECT DISTINCT person_id, distinct_id, name, moment AS began, moment,"
        " NULL::DOUBLE AS took FROM happened WHERE is1)",
    ]
    parts += [_later(number, funnel.window_hours) for number in range(2, len(funnel.stages) + 1)]
    return ", ".join(parts), values


def _later(number: int, window_hours: float) -> str:
    """The CTE of a step after the first: the nearest later moment alone.

    So time grows with the events, not with their square.
    """
    return (
        f"s{number} AS (SELECT s.person_id, s.distinct_id, s.name, s.began, h.moment,"
        f" epoch(h.moment) - epoch(s.moment) AS took FROM s{number - 1} s ASOF JOIN"
        f" (SELECT person_id, moment FROM happened WHERE is{number}) h"
        f" ON h.person_id = s.person_id AND s.moment < h.moment"
        f" WHERE epoch(h.moment) - epoch(s.began) <= {window_hours * 3600:.0f})"
    )


def _picked(
    funnel: Funnel, conditions: Sequence[Condition], period: Period
) -> tuple[str, list[Any]]:
    """The CTE of the events that matter, with the steps that each of them is."""
    breakdown = funnel.breakdown
    asks_person = any(one.person for one in conditions)
    name, values = "NULL::VARCHAR", list[Any]()
    if breakdown is not None:
        asks_person = asks_person or breakdown.of == "person"
        name = f"coalesce(json_extract_string({breakdown.column}, ?), '{NONE}')"
        values.append(breakdown.path)
    columns = ", ".join(
        f"coalesce({one.sql}, false) AS is{number}" for number, one in enumerate(conditions, 1)
    )
    values += [value for one in conditions for value in one.values]
    where = "timestamp >= ? AND timestamp < ?"
    values += [period.begin, period.end]
    names = {stage.event for stage in funnel.stages}
    if None not in names:
        where += " AND list_contains(?, event)"
        values.append(sorted(name for name in names if name is not None))
    table = filters.view_for(person=asks_person, person_id=True)
    return (
        f"happened AS (SELECT person_id, distinct_id, timestamp AS moment, {name} AS name,"
        f" {columns} FROM {table} WHERE {where})",
        values,
    )

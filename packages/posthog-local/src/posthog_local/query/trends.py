"""Trends: how often something happened over time, or how much of it, in lines.

Owns the SQL of that question and the filling of empty intervals. Pure: it gives SQL with its values
and makes lines of the rows. A line's `whole` is asked of all its events at once: whoever came on
two days is one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part, Property
from posthog_local.query.period import Interval, Period, floor_sql
from posthog_local.query.refusal import QueryRefused

#: Ways to count events.
COUNTS = {
    "total": "count(*)",
    "persons": "count(DISTINCT person_id)",
    "sessions": 'count(DISTINCT "$session_id")',
}
#: What can be asked of a property that holds numbers.
NUMBERS = {
    "sum": "sum(value)",
    "avg": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "median": "median(value)",
    "p75": "quantile_cont(value, 0.75)",
    "p90": "quantile_cont(value, 0.9)",
    "p95": "quantile_cont(value, 0.95)",
    "p99": "quantile_cont(value, 0.99)",
}
MAX_SERIES = 6
MAX_LINES = 25
#: Events without the property that a trend is split by.
NONE = "(none)"
#: Events with a value that is not among those of the highest lines.
OTHER = "(other)"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One question: which event (None for all), counted how, of which property, filtered how."""

    event: str | None = None
    math: str = "total"
    of: Property | None = None
    where: tuple[Part, ...] = ()


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """What all series share: the time, the filters, and what they are split by."""

    series: tuple[Series, ...] = (Series(),)
    interval: Interval = "day"
    where: tuple[Part, ...] = ()
    breakdown: Property | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the chart: a value for every interval, and one for the whole time."""

    name: str
    values: tuple[float, ...]
    whole: float

    @property
    def total(self) -> float:
        """The sum of its values."""
        return sum(self.values)


def sql_of(
    trend: Trend, one: Series, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (interval's begin, name, value).

    A row without a begin is for the whole time; one without a name is of the lines that are not
    shown by themselves. May raise `QueryRefused`.
    """
    where = filters.of_event(one.event, (*trend.where, *one.where), now, cohorts)
    where = filters.both(Condition("timestamp >= ? AND timestamp < ?",
                                   (period.begin, period.end)), where)  # fmt: skip
    columns, values = _columns(trend, one)
    table = filters.view_for(
        person=_asks_person(trend, one, where), person_id=one.math == "persons"
    )
    made = (
        f"picked AS (SELECT {floor_sql(trend.interval)} AS slot, {columns}"
        f" FROM {table} WHERE {where.sql})"
    )
    measure = COUNTS.get(one.math) or NUMBERS[one.math]
    name = "'all'"
    if trend.breakdown is not None:
        made += (
            f", highest AS (SELECT name FROM picked GROUP BY name"
            f" ORDER BY {measure} DESC NULLS LAST, name LIMIT {MAX_LINES})"
        )
        name = "CASE WHEN name IN (SELECT name FROM highest) THEN name END"
    sql = (
        f"WITH {made} SELECT slot, {name} AS line, {measure} FROM picked"
        " GROUP BY GROUPING SETS ((slot, line), (line))"
    )
    return sql, [*values, *where.values]


def lines_of(rows: Sequence[tuple[Any, ...]], begins: Sequence[datetime]) -> list[Line]:
    """The lines, the highest first, with zeros where nothing happened; what is left comes last."""
    found: dict[str | None, dict[datetime | None, float]] = {}
    for at, name, value in rows:
        found.setdefault(name, {})[at] = value or 0
    lines = [
        Line(
            name=OTHER if name is None else name,
            values=tuple(counts.get(one, 0) for one in begins),
            whole=counts.get(None, 0),
        )
        for name, counts in found.items()
    ]
    return sorted(lines, key=lambda line: (line.name == OTHER, -line.whole, line.name))


def _columns(trend: Trend, one: Series) -> tuple[str, list[Any]]:
    """What is picked of each event, with the values of that."""
    columns, values = list[str](), list[Any]()
    if one.math in NUMBERS:
        if one.of is None:
            raise QueryRefused(f"{one.math} needs the property that it is of")
        columns.append(f"TRY_CAST(json_extract_string({one.of.column}, ?) AS DOUBLE) AS value")
        values.append(one.of.path)
    elif one.math not in COUNTS:
        known = ", ".join([*COUNTS, *NUMBERS])
        raise QueryRefused(f"there is no math {one.math!r} here; there are {known}")
    if one.math == "persons":
        columns.append("person_id")
    if one.math == "sessions":
        columns.append('"$session_id"')
    if trend.breakdown is not None:
        column = trend.breakdown.column
        columns.append(f"coalesce(json_extract_string({column}, ?), '{NONE}') AS name")
        values.append(trend.breakdown.path)
    return ", ".join(columns) or "1 AS one", values


def _asks_person(trend: Trend, one: Series, where: Condition) -> bool:
    asked = (trend.breakdown, one.of)
    return where.person or any(of is not None and of.of == "person" for of in asked)

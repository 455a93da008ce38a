"""Trends: how often something happened over time, in lines.

Owns the SQL of that question and the filling of empty intervals. Pure: it gives SQL with its values
and makes lines of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

Interval = Literal["hour", "day", "week"]
STEPS: dict[Interval, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
MATHS = {"total": "count(*)", "persons": "count(DISTINCT person_id)"}
LINES = 6
MAX_POINTS = 400


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The question: which event (None for all), counted how, over which time, split by what."""

    event: str | None = None
    math: str = "total"
    interval: Interval = "day"
    days: int = 30
    breakdown: str | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the chart, with a value for every interval."""

    name: str
    values: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.values)


def sql_of(trend: Trend, now: datetime) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (interval's begin, name, count)."""
    begins = intervals(trend, now)
    name, values = "'all'", list[Any]()
    if trend.breakdown:
        name = "coalesce(json_extract_string(properties, ?), '(none)')"
        values.append("$." + msgspec.json.encode(trend.breakdown).decode())
    where = "timestamp >= ? AND timestamp < ?"
    values += [begins[0], begins[-1] + STEPS[trend.interval]]
    if trend.event:
        where += " AND event = ?"
        values.append(trend.event)
    table = "events_of_person" if trend.math == "persons" else "events"
    return (
        f"SELECT date_trunc('{trend.interval}', timestamp) AS at, {name} AS name,"  # noqa: S608
        f" {MATHS[trend.math]} FROM {table} WHERE {where} GROUP BY ALL",
        values,
    )


def intervals(trend: Trend, now: datetime) -> list[datetime]:
    """When each interval begins, in UTC without a zone, as the warehouse keeps times."""
    step = STEPS[trend.interval]
    last = _begin(now.astimezone(UTC).replace(tzinfo=None), trend.interval)
    count = min(MAX_POINTS, max(1, timedelta(days=trend.days) // step))
    return [last - step * (count - 1 - number) for number in range(count)]


def lines_of(rows: Sequence[tuple[Any, ...]], begins: Sequence[datetime]) -> list[Line]:
    """The highest lines, the highest first, with zeros where nothing happened."""
    found: dict[str, dict[datetime, int]] = {}
    for at, name, count in rows:
        found.setdefault(str(name), {})[at] = count
    lines = [
        Line(name=name, values=tuple(counts.get(one, 0) for one in begins))
        for name, counts in found.items()
    ]
    return sorted(lines, key=lambda line: (-line.total, line.name))[:LINES]


def _begin(moment: datetime, interval: Interval) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if interval == "hour":
        return hour
    day = hour.replace(hour=0)
    return day if interval == "day" else day - timedelta(days=day.weekday())

"""Retention: of those who did one thing in an interval, how many came back in those after it.

Owns the SQL of that question and the table that it fills. Pure. A person is in the row of every
interval in which they did the first thing; with `first_time` in that of the very first alone, which
may lie before all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part
from posthog_local.query.period import Interval, floor, floor_sql, plain, shifted

MIN_ROWS, MAX_ROWS = 2, 31


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """The question: what begins, what counts as coming back (None for any event), and when."""

    begin: str | None = None
    back: str | None = None
    begin_where: tuple[Part, ...] = ()
    back_where: tuple[Part, ...] = ()
    where: tuple[Part, ...] = ()
    interval: Interval = "day"
    rows: int = 8
    first_time: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Those who began in one interval: how many, and how many were back in each later one."""

    begin: datetime
    persons: int
    #: From the next interval on; none for intervals that are to come.
    back: tuple[int, ...]


class Mean(msgspec.Struct, frozen=True):
    """Of all who could have been back by now, how many were."""

    persons: int
    back: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.back / self.persons if self.persons else 0.0


def begins_of(retention: Retention, now: datetime) -> list[datetime]:
    """When each row begins; the last one is not over yet."""
    last = floor(plain(now), retention.interval)
    return [
        shifted(last, retention.interval, number - retention.rows + 1)
        for number in range(retention.rows)
    ]


def sql_of(retention: Retention, now: datetime, cohorts: Cohorts) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (begin, begin of a later interval, persons).

    A row whose two begins are the same holds those who began there.
    """
    begins, end = begins_of(retention, now), plain(now)
    time = Condition("timestamp >= ? AND timestamp < ?", (begins[0], end))
    began = filters.of_event(
        retention.begin, (*retention.where, *retention.begin_where), now, cohorts
    )
    back = filters.of_event(retention.back, (*retention.where, *retention.back_where), now, cohorts)
    back = filters.both(time, back)
    slot = floor_sql(retention.interval)
    if retention.first_time:
        began = filters.both(Condition("timestamp < ?", (end,)), began)
        first = (
            f"SELECT person_id, min({slot}) AS slot FROM {_view(began)} WHERE {began.sql}"
            " GROUP BY person_id HAVING slot >= ?"
        )
        values = [*began.values, begins[0]]
    else:
        began = filters.both(time, began)
        first = f"SELECT DISTINCT person_id, {slot} AS slot FROM {_view(began)} WHERE {began.sql}"
        values = [*began.values]
    return (
        f"WITH began AS ({first}),"
        f" back AS (SELECT DISTINCT person_id, {slot} AS slot FROM {_view(back)} WHERE {back.sql})"
        " SELECT slot, slot, count(*) FROM began GROUP BY slot UNION ALL"
        " SELECT began.slot, back.slot, count(*) FROM began JOIN back USING (person_id)"
        " WHERE back.slot > began.slot GROUP BY ALL",
        [*values, *back.values],
    )


def rows_of(retention: Retention, found: Sequence[tuple[Any, ...]], now: datetime) -> list[Row]:
    """The table, the earliest first."""
    begins = begins_of(retention, now)
    counts = {(one, later): persons for one, later, persons in found}
    return [
        Row(
            begin=begin,
            persons=counts.get((begin, begin), 0),
            back=tuple(counts.get((begin, later), 0) for later in begins[number + 1 :]),
        )
        for number, begin in enumerate(begins)
    ]


def means_of(rows: Sequence[Row]) -> list[Mean]:
    """For each number of intervals later, over all rows that are as old, as long as there are any.

    The interval that goes on now is left out where a whole one can speak.

    >>> rows = [Row(begin=datetime(2026, 1, 1), persons=4, back=(2, 1)),
    ...         Row(begin=datetime(2026, 1, 2), persons=2, back=(0,))]
    >>> [one.share for one in means_of(rows)]
    [0.5, 0.25]
    """
    means = []
    for later in range(len(rows[0].back) if rows else 0):
        old = [row for row in rows if len(row.back) > later]
        whole = [row for row in old[:-1] if row.persons] or old
        persons = sum(row.persons for row in whole)
        if persons == 0:
            break
        means.append(Mean(persons, sum(row.back[later] for row in whole)))
    return means


def _view(where: Condition) -> str:
    return filters.view_for(person=where.person, person_id=True)

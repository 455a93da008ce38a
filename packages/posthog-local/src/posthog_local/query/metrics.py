"""Metrics of an experiment: what the persons of each variant did, in sums.

Owns the SQL of two metrics: how many steps they came (a funnel that begins with what they were
shown), and how much of something each of them did. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.experiments import exposed_sql
from posthog_local.query.filters import Cohorts, Condition, Part, Property
from posthog_local.query.period import Period
from posthog_local.query.welch import Sample


class Did(msgspec.Struct, frozen=True, kw_only=True):
    """An event (None for any), filtered by what."""

    event: str | None = None
    where: tuple[Part, ...] = ()


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """The question: which flag, and what is measured, within which time of what they were shown.

    With `amount` it is the sum of that property of the one event, with `counted` the number of
    these events; else the steps of a funnel.
    """

    flag: str
    steps: tuple[Did, ...]
    counted: bool = False
    amount: Property | None = None
    window_hours: float | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one variant: persons, the sum of their values, of the squares, of each step."""

    variant: str
    persons: int
    total: float
    squares: float
    steps: tuple[int, ...] = ()

    @property
    def sample(self) -> Sample:
        """Its mean and variance; a share's variance is that of its persons."""
        mean = self.total / self.persons if self.persons else 0.0
        if self.steps:
            return Sample(count=self.persons, mean=mean, variance=mean * (1 - mean))
        spread = max(0.0, self.squares - self.total * mean)
        return Sample(count=self.persons, mean=mean, variance=spread / max(1, self.persons - 1))


def sql_of(
    metric: Metric, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse.

    Rows of (variant, 0, persons, sum, sum of squares); of a funnel for each step one more, with its
    number and persons.
    """
    time = Condition("timestamp >= ? AND timestamp < ?", (period.begin, period.end))
    made, values = exposed_sql(metric.flag, time)
    sums = metric.counted or metric.amount is not None
    for number, step in enumerate(metric.steps, 1):
        held = filters.both(time, filters.of_event(step.event, step.where, now, cohorts))
        amount = "1"
        if metric.amount is not None:
            amount = f"TRY_CAST(json_extract_string({metric.amount.column}, ?) AS DOUBLE)"
            values.append(metric.amount.path)
        person = held.person or (metric.amount is not None and metric.amount.of == "person")
        view = filters.view_for(person=person, person_id=True)
        made += (
            f", d{number} AS (SELECT person_id, timestamp, {amount} AS amount FROM {view}"
            f" WHERE {held.sql})"
        )
        values += held.values
    return f"WITH {made}{_amounts(metric) if sums else _steps(metric)}", values


def _amounts(metric: Metric) -> str:
    return (
        ", measured AS (SELECT e.person_id, variant, coalesce(sum(amount), 0) AS amount"
        " FROM exposed e LEFT JOIN d1 d ON d.person_id = e.person_id"
        f" AND d.timestamp >= since{_within(metric, 'since')} GROUP BY ALL)"
        " SELECT variant, 0, count(*), sum(amount), sum(amount * amount) FROM measured"
        " GROUP BY variant"
    )


def _steps(metric: Metric) -> str:
    made = ", s0 AS (SELECT person_id, variant, since, since AS moment FROM exposed)"
    rows = ["SELECT variant, 0, count(*), 0.0, 0.0 FROM s0 GROUP BY variant"]
    for number in range(1, len(metric.steps) + 1):
        # What they were shown may be at the same moment as the first step, and no step as another.
        after = ">=" if number == 1 else ">"
        made += (
            f", s{number} AS (SELECT s.person_id, variant, since, min(d.timestamp) AS moment"
            f" FROM s{number - 1} s JOIN d{number} d ON d.person_id = s.person_id"
            f" AND d.timestamp {after} s.moment{_within(metric, 'since')} GROUP BY ALL)"
        )
        rows.append(f"SELECT variant, {number}, count(*), 0.0, 0.0 FROM s{number} GROUP BY variant")
    return f"{made} {' UNION ALL '.join(rows)}"


def _within(metric: Metric, since: str) -> str:
    if metric.window_hours is None:
        return ""
    return f" AND epoch(d.timestamp) - epoch({since}) <= {metric.window_hours * 3600:.0f}"


def measured_of(metric: Metric, rows: Sequence[tuple[Any, ...]]) -> dict[str, Measured]:
    """What came of each variant.

    >>> metric = Metric(flag="beta", steps=(Did(event="pay"),))
    >>> found = measured_of(metric, [("test", 0, 4, 0.0, 0.0), ("test", 1, 3, 0.0, 0.0)])["test"]
    >>> (found.persons, found.total, found.steps, found.sample.mean)
    (4, 3, (3,), 0.75)
    """
    counts = {(row[0], row[1]): row[2:] for row in rows}
    found = dict[str, Measured]()
    for variant, number in counts:
        if number != 0:
            continue
        persons, total, squares = counts[variant, 0]
        steps = tuple(
            counts.get((variant, step), (0,))[0] for step in range(1, len(metric.steps) + 1)
        )
        if metric.counted or metric.amount is not None:
            found[variant] = Measured(
                variant=variant, persons=persons, total=total, squares=squares
            )
        else:
            last = steps[-1]
            found[variant] = Measured(
                variant=variant, persons=persons, total=last, squares=last, steps=steps
            )
    return found

"""Experiments: who was shown which variant of a flag, and who of them did what was hoped for.

Owns the SQL of that question and its arithmetic. A person belongs to the variant that they were
shown first; whoever was shown several is counted apart and compared with nobody. What they did
counts from that moment on. Pure.

Rates are compared by the two-sided z-test of two proportions with pooled variance; the interval of
the difference is Newcombe's, made of Wilson's score intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.query import filters
from posthog_local.query.filters import Cohorts, Condition, Part
from posthog_local.query.period import Period

EXPOSURE = "$feature_flag_called"
#: Persons who were shown more than one variant, as PostHog calls them.
SEVERAL = "$multiple"
CONTROL = "control"
# The normal distribution's quantile for 95 percent, two-sided.
_Z = 1.959963984540054
# The z-test is an approximation that small cells make worthless, by the usual rule.
_SMALL = 5


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """The question: which flag, and which event (filtered by what) is the goal."""

    flag: str
    goal: str
    where: tuple[Part, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one variant."""

    variant: str
    persons: int
    converted: int

    @property
    def rate(self) -> float:
        """The share that converted."""
        return self.converted / self.persons if self.persons else 0.0


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A variant beside the control: the difference of the rates, its 95 % interval, the p-value.

    `p` is None where nothing can be said; `small` says that the counts are too small to trust it.
    """

    difference: float
    low: float
    high: float
    p: float | None
    small: bool

    @property
    def significant(self) -> bool:
        """Whether chance alone would do as much less than once in twenty times."""
        return self.p is not None and self.p < 0.05 and not self.small


def sql_of(
    experiment: Experiment, period: Period, now: datetime, cohorts: Cohorts
) -> tuple[str, list[Any]]:
    """The question for the warehouse: rows of (variant, persons, converted)."""
    time = Condition("timestamp >= ? AND timestamp < ?", (period.begin, period.end))
    goal = filters.both(time, filters.of_event(experiment.goal, experiment.where, now, cohorts))
    exposed, values = exposed_sql(experiment.flag, time)
    return (
        f"WITH {exposed}, done AS (SELECT person_id, max(timestamp) AS latest"
        f" FROM {filters.view_for(person=goal.person, person_id=True)} WHERE {goal.sql}"
        " GROUP BY person_id)"
        " SELECT variant, count(*), count(*) FILTER (latest >= since)"
        " FROM exposed LEFT JOIN done USING (person_id) GROUP BY variant",
        [*values, *goal.values],
    )


def exposed_sql(flag: str, time: Condition) -> tuple[str, list[Any]]:
    """The CTE `exposed` of who was shown which variant, since when."""
    response = "json_extract_string(properties, '$.\"$feature_flag_response\"')"
    return (
        f"seen AS (SELECT person_id, timestamp, {response} AS variant FROM events_of_person"
        f" WHERE {time.sql} AND event = '{EXPOSURE}'"
        " AND json_extract_string(properties, '$.\"$feature_flag\"') = ?),"
        " exposed AS (SELECT person_id, min(timestamp) AS since,"
        f" CASE WHEN count(DISTINCT variant) > 1 THEN '{SEVERAL}' ELSE any_value(variant) END"
        " AS variant FROM seen WHERE variant IS NOT NULL GROUP BY person_id)",
        [*time.values, flag],
    )


def outcomes_of(rows: Sequence[tuple[Any, ...]]) -> list[Outcome]:
    """The outcomes: what the others are compared with first, persons of several variants last."""
    found = [Outcome(variant=row[0], persons=row[1], converted=row[2]) for row in rows]
    found.sort(key=lambda one: (one.variant == SEVERAL, one.variant not in (CONTROL, "false"),
                                one.variant))  # fmt: skip
    return found


def against(control: Outcome, variant: Outcome) -> Against:
    """How a variant did beside the control.

    >>> found = against(Outcome(variant="control", persons=1000, converted=100),
    ...                 Outcome(variant="test", persons=1000, converted=135))
    >>> (round(found.difference, 3), round(found.low, 3), round(found.high, 3), round(found.p, 3))
    (0.035, 0.007, 0.063, 0.015)
    """
    difference = variant.rate - control.rate
    low, high = _newcombe(control, variant)
    cells = [n for one in (control, variant) for n in (one.converted, one.persons - one.converted)]
    return Against(
        difference=difference,
        low=low,
        high=high,
        p=_p_value(control, variant),
        small=min(cells) < _SMALL,
    )


def _p_value(control: Outcome, variant: Outcome) -> float | None:
    if not control.persons or not variant.persons:
        return None
    persons = control.persons + variant.persons
    pooled = (control.converted + variant.converted) / persons
    variance = pooled * (1 - pooled) * (1 / control.persons + 1 / variant.persons)
    if variance == 0:
        return None
    z = (variant.rate - control.rate) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2))


def _newcombe(control: Outcome, variant: Outcome) -> tuple[float, float]:
    """The interval of the difference of the rates."""
    (low_0, high_0), (low_1, high_1) = _wilson(control), _wilson(variant)
    difference = variant.rate - control.rate
    return (
        difference - math.hypot(variant.rate - low_1, high_0 - control.rate),
        difference + math.hypot(high_1 - variant.rate, control.rate - low_0),
    )


def _wilson(one: Outcome) -> tuple[float, float]:
    """The interval of a rate."""
    if not one.persons:
        return 0.0, 1.0
    n, rate = one.persons, one.rate
    middle = (rate + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    half = _Z / (1 + _Z * _Z / n) * math.sqrt(rate * (1 - rate) / n + _Z * _Z / (4 * n * n))
    return middle - half, middle + half

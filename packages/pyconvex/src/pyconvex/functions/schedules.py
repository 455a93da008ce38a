"""When cron jobs run.

Owns the arithmetic of schedules, pure and without a clock: times come in, times go out, all in
milliseconds since 1970 and in UTC. Never stores anything. One invariant: the times of a schedule
follow from the schedule and its spread alone, so a late run moves no later one.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import msgspec
from cronsim import CronSim, CronSimError

#: Fields of a cron expression: minute, hour, day of month, month, day of week.
_FIELDS = 5
#: A schedule that fires twice in this time keeps its next run when a deploy changes it (Convex's).
_SOON_MS = 30_000.0


class Every(msgspec.Struct, frozen=True, tag="every"):
    """Once in so many seconds, counted from the first run."""

    period_s: int


class Calendar(msgspec.Struct, frozen=True, tag="calendar"):
    """At the times that a cron expression names, each somewhat later: below `spread_s` seconds,
    the same for all runs of a job, so that not all jobs of the world start on the full minute.
    """

    expression: str
    spread_s: int


Schedule: TypeAlias = Every | Calendar


class Advance(NamedTuple):
    """The next run of a job, and how many before it are left out because they are past."""

    at_ms: float
    skipped: int


class ScheduleError(ValueError):
    """No schedule; the message says what is wrong with it."""


def check(schedule: Schedule) -> None:
    """Raise `ScheduleError` for a schedule that names no time."""
    match schedule:
        case Every(period_s=period_s):
            if period_s < 1:
                raise ScheduleError("an interval is at least 1 second")
        case Calendar(expression=expression):
            _check_expression(expression)


def spread_of(schedule: Schedule, key: str) -> float:
    """How much later than its schedule says the job named `key` runs, in milliseconds."""
    if isinstance(schedule, Every):
        return 0.0
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") % schedule.spread_s * 1000.0


def first(schedule: Schedule, key: str, now_ms: float) -> float:
    """The first run of a new job: an interval begins at once.

    >>> first(Every(60), "a", 5_000.0)
    5000.0
    """
    if isinstance(schedule, Every):
        return now_ms
    return _next_match(schedule, key, now_ms)


def following(schedule: Schedule, key: str, ran_ms: float, now_ms: float) -> Advance:
    """The run after the one that was due at `ran_ms`, later than now.

    >>> following(Every(60), "a", 0.0, 1_000.0)
    Advance(at_ms=60000.0, skipped=0)
    >>> following(Every(60), "a", 0.0, 185_000.0)
    Advance(at_ms=240000.0, skipped=3)
    """
    if isinstance(schedule, Calendar):
        return Advance(_next_match(schedule, key, max(now_ms, ran_ms)), 0)
    period_ms = schedule.period_s * 1000.0
    periods = max(math.floor((now_ms - ran_ms) / period_ms) + 1, 1)
    return Advance(ran_ms + periods * period_ms, periods - 1)


def after_change(old: Schedule, new: Schedule, key: str, due_ms: float, now_ms: float) -> float:
    """When a job runs next whose schedule a deploy has changed, and which was due at `due_ms`."""
    second = following(old, key, due_ms, due_ms).at_ms
    if second - now_ms <= _SOON_MS:
        return due_ms  # it runs in a moment anyway; the new schedule counts from there
    return first(new, key, now_ms)


def _next_match(schedule: Calendar, key: str, now_ms: float) -> float:
    spread_ms = spread_of(schedule, key)
    # Whole seconds: what lies in a fraction of one would be found again.
    before = datetime.fromtimestamp(math.floor((now_ms - spread_ms) / 1000), UTC)
    return next(CronSim(schedule.expression, before)).timestamp() * 1000 + spread_ms


def _check_expression(expression: str) -> None:
    if len(expression.split()) != _FIELDS:
        raise ScheduleError(
            f"{expression!r} is no cron expression: it takes five fields, minute, hour, day of "
            "month, month and day of week"
        )
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ScheduleError(f"{expression!r} is no cron expression: {error}") from None
    except StopIteration:
        raise ScheduleError(f"{expression!r} never matches any time") from None

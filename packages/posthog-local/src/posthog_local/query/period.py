"""A stretch of time and the intervals that it is cut into: hours, days, weeks or months, in UTC.

Owns calendars and nothing of what is counted. Times are naive UTC, as the warehouse keeps them;
weeks begin on Sunday, as PostHog's do. Pure.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Literal

import msgspec

from posthog_local.query.refusal import QueryRefused

Interval = Literal["hour", "day", "week", "month"]
#: How long an interval is, about: a month has its own length.
LENGTHS: dict[Interval, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
#: More points than this make no chart that anybody can read.
MAX_INTERVALS = 2500
# Far from the calendar's ends, so that a time before and after can be reckoned.
_YEARS = range(1900, 2201)
_DAY = timedelta(days=1)


class Period(msgspec.Struct, frozen=True):
    """From a moment until before another."""

    begin: datetime
    end: datetime


def last(days: float, now: datetime, interval: Interval = "day") -> Period:
    """The latest intervals of so many days, with the one that is not over yet.

    >>> last(2, datetime(2026, 1, 8, 12, tzinfo=UTC)).begin
    datetime.datetime(2026, 1, 7, 0, 0)
    """
    ends = plain(now)
    count = max(1, timedelta(days=days) // LENGTHS[interval])
    return Period(shifted(floor(ends, interval), interval, 1 - count), ends)


def between(first: date, final: date) -> Period:
    """Whole days, the last one with them."""
    if final < first:
        raise QueryRefused(f"the time ends on {final}, before it begins on {first}")
    midnight = datetime.min.time()
    return Period(datetime.combine(first, midnight), datetime.combine(final, midnight) + _DAY)


def intervals(period: Period, interval: Interval) -> list[datetime]:
    """When each interval of a period begins; `QueryRefused` when there are too many."""
    begins = [floor(period.begin, interval)]
    while (following := shifted(begins[-1], interval, 1)) < period.end:
        if len(begins) == MAX_INTERVALS:
            raise QueryRefused(
                f"this time has more than {MAX_INTERVALS:,} {interval}s; choose longer intervals"
            )
        begins.append(following)
    return begins


def before(period: Period, interval: Interval) -> Period:
    """The period of as many intervals that ends where this one begins."""
    begins = intervals(period, interval)
    return Period(shifted(begins[0], interval, -len(begins)), begins[0])


def floor(moment: datetime, interval: Interval) -> datetime:
    """The begin of the interval that a moment is in.

    >>> floor(datetime(2026, 1, 8, 12, 30), "week")
    datetime.datetime(2026, 1, 4, 0, 0)
    """
    hour = moment.replace(minute=0, second=0, microsecond=0)
    match interval:
        case "hour":
            return hour
        case "day":
            return hour.replace(hour=0)
        case "week":
            return hour.replace(hour=0) - timedelta(days=(hour.weekday() + 1) % 7)
        case "month":
            return hour.replace(hour=0, day=1)


def shifted(begin: datetime, interval: Interval, count: int) -> datetime:
    """The begin of the interval so many later, or earlier.

    >>> shifted(datetime(2026, 1, 1), "month", -2)
    datetime.datetime(2025, 11, 1, 0, 0)
    """
    if interval != "month":
        return begin + LENGTHS[interval] * count
    year, month = divmod(begin.year * 12 + begin.month - 1 + count, 12)
    return begin.replace(year=year, month=month + 1)


def floor_sql(interval: Interval, moment: str = "timestamp") -> str:
    """SQL for the begin of the interval that `moment` is in."""
    if interval == "week":
        return f"(date_trunc('week', {moment} + INTERVAL 1 DAY) - INTERVAL 1 DAY)"
    return f"date_trunc('{interval}', {moment})"


def day_of(text: str) -> date:
    """A day as ISO 8601 writes it; `ValueError` for one that no event can be of.

    >>> day_of("2026-01-31")
    datetime.date(2026, 1, 31)
    """
    day = date.fromisoformat(text)
    if day.year not in _YEARS:
        raise ValueError(f"{text} is not between {_YEARS[0]} and {_YEARS[-1]}")
    return day


def plain(moment: datetime) -> datetime:
    """A moment as the warehouse keeps it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)

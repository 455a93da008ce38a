"""Dates in flag conditions: absolute ones, and relative ones such as `-7d`.

Owns their reading; the current time is an argument. What is no date is None.
"""

from __future__ import annotations

import calendar
import math
import re
from datetime import UTC, datetime, timedelta

from posthog_local.ingest.clock import parse_time_us

_RELATIVE = re.compile(r"-?(\d+)([hdwmy])")
_MAX_RELATIVE = 10_000
# A number this large can only be milliseconds; smaller ones are seconds.
_MILLISECONDS_FROM = 100_000_000_000


def filter_time_us(value: object, now: datetime) -> int | None:
    """The moment a condition names: relative to `now`, or as `property_time_us` reads it.

    >>> filter_time_us("-1d", datetime(1970, 1, 2, tzinfo=UTC))
    0
    """
    if isinstance(value, str) and (match := _RELATIVE.fullmatch(value.strip())) is not None:
        count = int(match[1]) if len(match[1]) < 6 else _MAX_RELATIVE
        return None if count >= _MAX_RELATIVE else _before(now, count, match[2])
    return property_time_us(value)


def property_time_us(value: object) -> int | None:
    """The moment a property holds: ISO 8601 text, or a number of seconds or milliseconds."""
    if isinstance(value, str):
        text = value.strip()
        return (
            _number_time_us(float(text)) if re.fullmatch(r"\d{9,13}", text) else parse_time_us(text)
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_time_us(value)
    return None


def _number_time_us(number: float) -> int | None:
    if not math.isfinite(number):
        return None
    if abs(number) >= _MILLISECONDS_FROM:
        return int(number) * 1_000
    return int(number * 1_000_000)


def _before(now: datetime, count: int, unit: str) -> int | None:
    try:
        match unit:
            case "h":
                moment = now - timedelta(hours=count)
            case "d":
                moment = now - timedelta(days=count)
            case "w":
                moment = now - timedelta(weeks=count)
            case "m":
                moment = _months_before(now, count)
            case _:
                moment = _months_before(now, 12 * count)
    except (ValueError, OverflowError):
        return None
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return elapsed // timedelta(microseconds=1)


def _months_before(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return now.replace(year=year, month=month + 1, day=min(now.day, last_day))

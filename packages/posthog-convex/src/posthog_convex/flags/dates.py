"""Date conditions, as the server compares them.

Owns parsing of relative and absolute dates into nanoseconds. Never reads the clock: now is an
argument. One invariant: a date without an offset means the project's time zone, which is not known
here, so a comparison that some time zone would turn is not decided.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from posthog_convex.flags.verdict import Json

#: True, false, or why this value can't be decided; the second argument is now in milliseconds.
DateCheck = Callable[[Json, float], bool | str]


class Moment(NamedTuple):
    """A time in nanoseconds since 1970, UTC; naive when the text had no offset."""

    ns: int
    naive: bool


_RELATIVE = re.compile(r"-?([0-9]{1,18})([hdwmy])")
_ABSOLUTE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[ T]([0-9]{2}:[0-9]{2})(?:(:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?"
)
_NUMERIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The server's calendar ends there, in seconds; what lies beyond is no date.
_MAX_SECONDS = 8_210_266_876_799
_NS_PER_HOUR = 3_600 * 10**9
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}
#: Time zones reach from UTC-12 to UTC+14.
_ZONE_SPREAD_NS = 14 * _NS_PER_HOUR
#: Months count on the project's wall clock: near a month's end its day, and so the count, may
#: differ from UTC's by a month's missing days.
_MONTH_SPREAD_NS = 4 * 24 * _NS_PER_HOUR
_ZONE = "it depends on the project's time zone"


def date_check(name: str, wanted: str) -> DateCheck | str:
    """The check for an operator and its date, or why there is none."""
    relative = _RELATIVE.fullmatch(wanted)
    if relative is not None and int(relative[1]) < 10_000:
        return _relative(name, int(relative[1]), relative[2])
    bound = parse_moment(wanted)
    if bound is None:
        return f"{wanted!r} is no date that can be read here"
    fixed = bound

    def check(value: Json, now_ms: float) -> bool | str:
        moment = _moment_of(value)
        if not isinstance(moment, Moment):
            return moment
        spread = _ZONE_SPREAD_NS if moment.naive is not fixed.naive else 0
        return _compare(name, moment.ns, fixed.ns, spread)

    return check


def parse_moment(text: str) -> Moment | None:
    """An ISO date, with or without time and offset; None for everything else.

    >>> parse_moment("2024-06-01T12:00:00Z")
    Moment(ns=1717243200000000000, naive=False)
    """
    parts = _ABSOLUTE.fullmatch(text)
    if parts is None:
        return None
    day, minutes, seconds, fraction, offset = parts.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day}T{minutes or '00:00'}{seconds or ':00'}{offset or '+00:00'}"
        )
    except ValueError:
        return None
    ns = (moment - _EPOCH) // timedelta(seconds=1) * 10**9
    return Moment(ns + int((fraction or "0").ljust(9, "0")), offset is None)


def _moment_of(value: Json) -> Moment | bool | str:
    """What a property's value says; False for what is no date to the server."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    if isinstance(value, str) and not _NUMERIC.fullmatch(value):
        return parse_moment(value) or f"{value!r} is no date that can be read here"
    if isinstance(value, int) and abs(value) > _MAX_SECONDS:
        return False
    seconds = float(value)
    if not abs(seconds) <= _MAX_SECONDS:
        return False
    # As the server does it: below 1970 the fraction is lost.
    fraction = max(0, round(math.fmod(seconds, 1.0) * 1e9))
    return Moment(math.floor(seconds) * 10**9 + fraction, False)


def _compare(name: str, ns: int, bound_ns: int, spread_ns: int) -> bool | str:
    if spread_ns and abs(ns - bound_ns) <= spread_ns:
        return _ZONE
    if name == "is_date_before":
        return ns < bound_ns
    if name == "is_date_after":
        return ns > bound_ns
    return ns == bound_ns


def _relative(name: str, number: int, unit: str) -> DateCheck:
    def check(value: Json, now_ms: float) -> bool | str:
        moment = _moment_of(value)
        if not isinstance(moment, Moment):
            return moment
        now_ns = round(now_ms * 1e6)
        bound_ns = _before(now_ns, number, unit)
        if bound_ns is None:
            return False
        spread = _ZONE_SPREAD_NS if moment.naive else 0
        if unit in "my":
            spread = max(spread, _clamp_spread(now_ns))
        return _compare(name, moment.ns, bound_ns, spread)

    return check


def _clamp_spread(now_ns: int) -> int:
    """How far a time zone can move a count of months: only near a month's end."""
    day = (_EPOCH + timedelta(seconds=now_ns // 10**9)).day
    return 0 if 2 <= day <= 27 else _MONTH_SPREAD_NS


def _before(now_ns: int, number: int, unit: str) -> int | None:
    """`number` units before now; None before the calendar's beginning."""
    if unit in _HOURS:
        return now_ns - number * _HOURS[unit] * _NS_PER_HOUR
    today = (_EPOCH + timedelta(seconds=now_ns // 10**9)).date()
    target = _months_before(today, number if unit == "m" else number * 12, by_month=unit == "m")
    return None if target is None else now_ns - (today - target).days * 24 * _NS_PER_HOUR


def _months_before(day: date, months: int, *, by_month: bool) -> date | None:
    """Month by month, so that 31 March minus two months is 28 January, through 28 February."""
    index, last = day.year * 12 + day.month - 1, day.day
    if index - months < 12:
        return None
    for month in range(index - 1, index - months - 1, -1) if by_month else [index - months]:
        if last <= 28:
            break
        last = min(last, calendar.monthrange(month // 12, month % 12 + 1)[1])
    return date((index - months) // 12, (index - months) % 12 + 1, last)

"""When an event happened: the sender's clock, corrected by when the request left and arrived.

Owns PostHog's timestamp rules. Takes the time of receipt as an argument; all results are
microseconds since 1970, and always within years 0 to 9999.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_US = 1_000_000
# Senders with a clock far ahead would bury every real event: those get the time of receipt.
_MAX_AHEAD_US = 23 * 3600 * _US
_SHORT_OFFSET = re.compile(r"([+-]\d\d)$")


class EventTime(NamedTuple):
    """When an event happened; `problem` is the warning's kind if that is not what it says."""

    us: int
    problem: str | None = None


def event_time(
    *,
    now_us: int,
    timestamp: str | None,
    offset_ms: int | None,
    sent_at_us: int | None,
    ignore_sent_at: bool = False,
) -> EventTime:
    """The event's time: offset, else skew-corrected timestamp, else timestamp, else receipt.

    >>> event_time(now_us=10_000_000, timestamp=None, offset_ms=2000, sent_at_us=None).us
    8000000
    """
    if offset_ms is not None:
        return _bounded(now_us - offset_ms * 1000, now_us)
    claimed = None if timestamp is None else parse_time_us(timestamp)
    if claimed is None:
        return EventTime(now_us, None if not timestamp else "ignored_invalid_timestamp")
    if sent_at_us is not None and not ignore_sent_at:
        return _bounded(now_us + claimed - sent_at_us, now_us)
    return _bounded(claimed, now_us)


def parse_time_us(text: str) -> int | None:
    """ISO 8601 (also `+03` or a trailing `UTC`) or an e-mail date, naive is UTC; else None."""
    moment = _parse(text.strip())
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        difference = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        return None
    return (difference.days * 86400 + difference.seconds) * _US + difference.microseconds


def format_time(time_us: int) -> str:
    """ISO 8601 in UTC with microseconds, as the APIs and pages show it."""
    seconds, fraction = divmod(time_us, _US)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _parse(text: str) -> datetime | None:
    for candidate in (text, text.removesuffix("UTC").strip(), _SHORT_OFFSET.sub(r"\1:00", text)):
        try:
            return datetime.fromisoformat(candidate)
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


_YEAR_0_US = -62_167_219_200 * _US
_YEAR_10000_US = 253_402_300_800 * _US


def _bounded(time_us: int, now_us: int) -> EventTime:
    if time_us < _YEAR_0_US or time_us >= _YEAR_10000_US:
        return EventTime(0, "ignored_invalid_timestamp")
    if time_us > now_us + _MAX_AHEAD_US:
        return EventTime(now_us, "event_timestamp_in_future")
    return EventTime(time_us)

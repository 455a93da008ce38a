"""The uuid and time of an event.

Owns their forms. Never reads a clock or makes randomness: both are arguments. One invariant: uuids
made later sort later, so that PostHog and people see events of a moment in their order.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from posthog_convex.events.properties import EventError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: What is random in a uuid of version 7, and the part of it behind the variant.
_NOISE = (1 << 74) - 1
_LOW_BITS = (1 << 62) - 1


def event_uuid(now_ms: int, random_bits: int) -> str:
    """A version 7 uuid of that time; the lowest 74 of `random_bits` count.

    >>> event_uuid(1_717_243_200_000, 5)
    '018fd3ab-c200-7000-8000-000000000005'
    """
    noise = random_bits & _NOISE
    high = (now_ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (noise >> 62) << 64
    text = f"{high | 0b10 << 62 | noise & _LOW_BITS:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def checked_uuid(uuid: str | UUID) -> str:
    """A caller's own uuid. Raises `EventError` when it is none."""
    try:
        return str(uuid if isinstance(uuid, UUID) else UUID(uuid))
    except (ValueError, AttributeError, TypeError):
        raise EventError(f"uuid {uuid!r} is no uuid: leave it out, or pass uuid.UUID") from None


def iso_timestamp(when: datetime | str | int | float) -> str:
    """A time as PostHog reads it, UTC to the millisecond; numbers are milliseconds since 1970.

    A datetime without a time zone, and text without an offset, are UTC. Raises `EventError`.

    >>> iso_timestamp(1_717_243_200_123)
    '2024-06-01T12:00:00.123Z'
    """
    if type(when) is int and 0 <= when < _YEAR_9999_MS:
        return f"{_second(when // 1000)}{when % 1000:03d}Z"
    try:
        if isinstance(when, str):
            moment = datetime.fromisoformat(when)
        elif isinstance(when, datetime):
            moment = when
        else:
            moment = _EPOCH + timedelta(milliseconds=when)
    except (ValueError, OverflowError):
        raise EventError(f"timestamp {when!r} is no time: pass a datetime or ISO text") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: Later times go the long way, and fail there.
_YEAR_9999_MS = 253_370_764_800_000


# Events come by the hundred in a second.
@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.}"

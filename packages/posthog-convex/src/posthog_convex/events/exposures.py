"""Exposures: that somebody was given a flag's value.

Owns the event that experiments count, and what counts as the same exposure. Never decides whether
one is sent. One invariant: equal exposures of one day have one uuid, so PostHog counts them once
however often they come.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Required, TypedDict, Unpack
from uuid import UUID, uuid5

import msgspec

from posthog_convex.events.builders import Event, Stamp, capture
from posthog_convex.events.stamps import iso_timestamp

FLAG_CALLED = "$feature_flag_called"
#: Names exposures.
_NAMESPACE = UUID("0b3f8a52-6c1d-5e7f-9a24-d1c06e5b7f38")


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was shown what a flag's value leads to."""

    distinct_id: str
    flag: str
    value: bool | str
    groups: Mapping[str, str] = {}

    @classmethod
    def of_event(cls, event: Event) -> Exposure | None:
        """The exposure that an event tells of, None for any other event."""
        properties = event.get("properties")
        if event.get("event") != FLAG_CALLED or not isinstance(properties, Mapping):
            return None
        flag, value = properties.get("$feature_flag"), properties.get("$feature_flag_response")
        if not isinstance(flag, str) or not isinstance(value, (bool, str)):
            return None
        groups = properties.get("$groups")
        named = groups.items() if isinstance(groups, Mapping) else ()
        return cls(
            distinct_id=str(event.get("distinct_id")),
            flag=flag,
            value=value,
            groups={str(kind): str(key) for kind, key in named},
        )

    def slot(self) -> str:
        """The same text for what counts as the same exposure."""
        groups = sorted(self.groups.items())
        return json.dumps([self.distinct_id, self.flag, self.value, *groups])

    def uuid(self, timestamp: str) -> str:
        """The uuid of its event on the day of that time."""
        return str(uuid5(_NAMESPACE, f"{timestamp[:10]} {self.slot()}"))


class FlagDetails(TypedDict, total=False):
    """How the value came about."""

    locally: Required[bool]
    #: PostHog's own word for it.
    reason: str | None
    payload: Any
    #: PostHog's id and version of the definition.
    id: int | None
    version: int | None
    #: Of the request that asked PostHog.
    request_id: str | None
    disable_geoip: bool


def flag_called(exposure: Exposure, *, now_ms: float, **details: Unpack[FlagDetails]) -> Event:
    """The event of an exposure."""
    timestamp = iso_timestamp(now_ms)
    stamp = Stamp(exposure.uuid(timestamp), timestamp)
    made: dict[str, Any] = {
        "$feature_flag": exposure.flag,
        "$feature_flag_response": exposure.value,
        f"$feature/{exposure.flag}": exposure.value,
        "locally_evaluated": details["locally"],
    }
    known = {
        "$feature_flag_id": details.get("id"),
        "$feature_flag_version": details.get("version"),
        "$feature_flag_reason": details.get("reason"),
        "$feature_flag_payload": details.get("payload"),
        "$feature_flag_request_id": details.get("request_id"),
    }
    made |= {name: value for name, value in known.items() if value is not None}
    return capture(
        FLAG_CALLED,
        distinct_id=exposure.distinct_id,
        stamp=stamp,
        properties=made,
        groups=exposure.groups or None,
        disable_geoip=details.get("disable_geoip", True),
    )

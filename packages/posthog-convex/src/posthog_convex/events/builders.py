"""One function for each kind of event.

Owns the shape that PostHog expects of it. Never sends, and makes neither time nor uuid. One
invariant: an event that would change or merge a person names that person; only `capture` may go
without one, and then creates no person profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from posthog_convex.events.properties import EventError, Properties, plain
from posthog_convex.events.stamps import checked_uuid, iso_timestamp

LIBRARY = "posthog-convex-python"
#: Kept equal to the package's version by a test.
LIBRARY_VERSION = "0.1.0"

EXCEPTION = "$exception"

#: What `identify` of the npm component takes within its properties.
_WITHIN = frozenset({"$set", "$set_once", "$anon_distinct_id"})

#: An event in PostHog's own form; `before_send` hooks see and may change it.
Event = dict[str, Any]


class Stamp(msgspec.Struct, frozen=True):
    """What makes an event this one event, fixed before the first attempt to send it."""

    uuid: str
    #: As `iso_timestamp` makes it.
    timestamp: str

    @classmethod
    def of(cls, uuid: str | UUID, timestamp: Any) -> Stamp:
        """A stamp from a caller's own values. Raises `EventError`."""
        return cls(checked_uuid(uuid), iso_timestamp(timestamp))


def capture(
    event: str,
    *,
    distinct_id: str | None,
    stamp: Stamp,
    properties: Properties | None = None,
    groups: Mapping[str, str | int] | None = None,
    disable_geoip: bool = True,
) -> Event:
    """Something happened. Without a distinct id it belongs to nobody and makes no person profile.

    Raises `EventError` for properties that have no JSON form.
    """
    if not isinstance(event, str) or not event.strip():
        raise EventError(f"an event needs a name, not {event!r}")
    made = plain(properties, "properties")
    if groups:
        made["$groups"] = {kind: str(key) for kind, key in plain(groups, "groups").items()}
    known = text_id(distinct_id)
    if known is None:
        made.setdefault("$process_person_profile", False)
    return _event(event, known or stamp.uuid, stamp, made, disable_geoip)


def identify(
    *,
    distinct_id: str | None,
    stamp: Stamp,
    properties: Properties | None = None,
    set_once: Properties | None = None,
    anon_distinct_id: str | None = None,
    disable_geoip: bool = True,
) -> Event:
    """Who this person is; events of `anon_distinct_id` become theirs.

    `properties` may also hold `$set`, `$set_once` and `$anon_distinct_id`, as in `@posthog/convex`.
    """
    made: dict[str, Any] = {}
    properties, set_once, anon_distinct_id = _as_npm(properties, set_once, anon_distinct_id)
    anonymous = text_id(anon_distinct_id)
    if anonymous is not None:
        made["$anon_distinct_id"] = anonymous
    event = _event("$identify", _needed(distinct_id, "identify"), stamp, made, disable_geoip)
    if properties:
        event["$set"] = plain(properties, "properties")
    if set_once:
        event["$set_once"] = plain(set_once, "set_once")
    return event


def _as_npm(
    properties: Properties | None, set_once: Properties | None, anonymous: str | None
) -> tuple[Properties | None, Properties | None, str | None]:
    """The three, with those that `properties` itself holds."""
    if not isinstance(properties, Mapping) or not properties.keys() & _WITHIN:
        return properties, set_once, anonymous
    rest = {name: value for name, value in properties.items() if name not in _WITHIN}
    return (
        {**rest, **(properties.get("$set") or {})},
        {**(properties.get("$set_once") or {}), **(set_once or {})},
        properties.get("$anon_distinct_id") if anonymous is None else anonymous,
    )


def set_properties(
    *,
    distinct_id: str | None,
    stamp: Stamp,
    properties: Properties,
    disable_geoip: bool = True,
) -> Event:
    """Person properties that replace what was there."""
    event = _event("$set", _needed(distinct_id, "set"), stamp, {}, disable_geoip)
    return event | {"$set": plain(properties, "properties")}


def set_once(
    *,
    distinct_id: str | None,
    stamp: Stamp,
    properties: Properties,
    disable_geoip: bool = True,
) -> Event:
    """Person properties that count only where there is nothing yet."""
    event = _event("$set_once", _needed(distinct_id, "set_once"), stamp, {}, disable_geoip)
    return event | {"$set_once": plain(properties, "properties")}


def unset_properties(
    *,
    distinct_id: str | None,
    stamp: Stamp,
    names: Sequence[str],
    disable_geoip: bool = True,
) -> Event:
    """Person properties that are taken away. Raises `EventError` for what are no names."""
    if isinstance(names, str):
        names = [names]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise EventError(f"unset needs names of person properties, not {names!r}")
    made: dict[str, Any] = {"$unset": list(names)}
    return _event("$set", _needed(distinct_id, "unset"), stamp, made, disable_geoip)


def alias(
    *, distinct_id: str | None, alias: str, stamp: Stamp, disable_geoip: bool = True
) -> Event:
    """Another id of a person: what happened under `alias` becomes theirs."""
    person, other = _needed(distinct_id, "alias"), text_id(alias)
    if other is None:
        raise EventError("alias needs the person's other id")
    made = {"distinct_id": person, "alias": other}
    return _event("$create_alias", person, stamp, made, disable_geoip)


def group_identify(
    group_type: str,
    group_key: str | int,
    *,
    stamp: Stamp,
    properties: Properties | None = None,
    distinct_id: str | None = None,
    disable_geoip: bool = True,
) -> Event:
    """What a group is. It belongs to nobody in particular: its name stands for the person."""
    kind, key = text_id(group_type), text_id(group_key)
    if kind is None or key is None:
        raise EventError("group_identify needs a group type and a group key")
    made = {
        "$group_type": kind,
        "$group_key": key,
        "$group_set": plain(properties, "properties"),
    }
    who = text_id(distinct_id) or f"${kind}_{key}"
    return _event("$groupidentify", who, stamp, made, disable_geoip)


def exception(
    exception_list: Sequence[Mapping[str, Any]],
    *,
    distinct_id: str | None,
    stamp: Stamp,
    properties: Properties | None = None,
    groups: Mapping[str, str | int] | None = None,
    disable_geoip: bool = True,
) -> Event:
    """An error, described as `posthog_convex.exceptions` does. It may be nobody's."""
    made = {"$exception_level": "error"} | plain(properties, "additional_properties")
    made["$exception_list"] = [dict(entry) for entry in exception_list]
    return capture(
        EXCEPTION,
        distinct_id=distinct_id,
        stamp=stamp,
        properties=made,
        groups=groups,
        disable_geoip=disable_geoip,
    )


def in_session(event: Event, session_id: str | None) -> Event:
    """The event as one of this session, unless it names one itself or there is none.

    >>> in_session({"properties": {}}, "s1"), in_session({"properties": {"$session_id": 2}}, "s1")
    ({'properties': {'$session_id': 's1'}}, {'properties': {'$session_id': 2}})
    """
    if session_id is None or "$session_id" in event["properties"]:
        return event
    return event | {"properties": event["properties"] | {"$session_id": session_id}}


def flag_properties(values: Mapping[str, bool | str]) -> dict[str, Any]:
    """The properties that say which flags a person had.

    >>> flag_properties({"new-cart": "a", "old-cart": False})
    {'$feature/new-cart': 'a', '$feature/old-cart': False, '$active_feature_flags': ['new-cart']}
    """
    made: dict[str, Any] = {f"$feature/{key}": value for key, value in values.items()}
    return made | {"$active_feature_flags": sorted(k for k, v in values.items() if v is not False)}


def text_id(value: str | int | None) -> str | None:
    """An id as text, or None for none; blank text is none. Raises `EventError` for other types."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, UUID)):
        raise EventError(f"an id is text, not {type(value).__name__}")
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return text if text.strip() else None


def _needed(distinct_id: str | int | None, call: str) -> str:
    text = text_id(distinct_id)
    if text is None:
        raise EventError(
            f"{call} needs a distinct id: sign the caller in, pass distinct_id, or give PostHog(…) "
            "an identify callback"
        )
    return text


def _event(
    name: str, distinct_id: str, stamp: Stamp, properties: dict[str, Any], disable_geoip: bool
) -> Event:
    properties |= {"$lib": LIBRARY, "$lib_version": LIBRARY_VERSION, "$is_server": True}
    if disable_geoip:
        properties["$geoip_disable"] = True
    return {
        "uuid": stamp.uuid,
        "event": name,
        "distinct_id": distinct_id,
        "timestamp": stamp.timestamp,
        "properties": properties,
    }

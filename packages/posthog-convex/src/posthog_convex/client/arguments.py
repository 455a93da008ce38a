"""What calls take: the keyword arguments that many of them share.

Owns their types and their checks. Never talks to the component. One invariant: a keyword that no
call has is an error that names it, at run time as for a type checker.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeAlias, TypedDict
from uuid import UUID

import msgspec

from posthog_convex import events
from posthog_convex.component.remote import Question
from posthog_convex.events import Event, EventError, Properties
from pyconvex import ActionCtx, MutationCtx, QueryCtx

Ctx: TypeAlias = QueryCtx | MutationCtx | ActionCtx
#: Says whose call it is; None leaves it to the explicit id or `ctx.user_id`.
Identify: TypeAlias = Callable[[Any], str | Awaitable[str | None] | None]
#: Returns the event, changed or not, or None to drop it.
BeforeSend: TypeAlias = Callable[[Event], Event | None]
#: Group keys by group type, such as `{"company": "acme"}`.
Groups: TypeAlias = Mapping[str, str | int]


class Stamped(TypedDict, total=False):
    """What every event may be given."""

    #: Whose event it is, unless the client's `identify` callback says otherwise.
    distinct_id: str | None
    #: When it happened; now, if left out. A datetime without a zone is UTC.
    timestamp: datetime | str | None
    #: What makes it one event however often it arrives; a new one, if left out.
    uuid: UUID | str | None
    #: True, as the server SDKs have it, keeps PostHog from placing the person where the host is.
    disable_geoip: bool


class About(TypedDict, total=False):
    """Whom a flag is asked for, and what is known of them."""

    #: Whom, unless the client's `identify` callback says otherwise; else `ctx.user_id`.
    distinct_id: str | None
    #: The groups that the person acts for now.
    groups: Groups | None
    #: Person properties that the flag's conditions may ask for; local flags know no others.
    person_properties: Properties | None
    #: The same for groups, by group type.
    group_properties: Mapping[str, Properties] | None


class OneFlag(About, total=False):
    """The same for a call that reads one flag."""

    #: Whether the read is an exposure (`$feature_flag_called`); as the client has it, if left out.
    send_feature_flag_events: bool | None


class SendFeatureFlags(msgspec.Struct, frozen=True, kw_only=True):
    """Which flags an event carries, and with what they are evaluated."""

    person_properties: Properties | None = None
    group_properties: Mapping[str, Properties] | None = None
    #: All flags, if left out.
    flag_keys: Sequence[str] | None = None

    @classmethod
    def of(cls, given: Any) -> Self:
        """What a caller has written: True for all, or the options as a dict, as PyPI `posthog` has
        them. Raises `TypeError`.
        """
        if isinstance(given, cls):
            return given
        if given is True:
            return cls()
        if not isinstance(given, Mapping):
            raise TypeError(
                "send_feature_flags must be True, False or SendFeatureFlags(…), not "
                f"{type(given).__name__}"
            )
        named: dict[str, Any] = {
            "flag_keys" if name == "flag_keys_filter" else str(name): value
            for name, value in given.items()
        }
        named.pop("only_evaluate_locally", None)  # they always are
        unknown = named.keys() - set(cls.__struct_fields__)
        if unknown:
            known = ", ".join(cls.__struct_fields__)
            raise TypeError(f"send_feature_flags has no {min(unknown)!r}; there are {known}")
        return cls(**named)


def stamp_of(given: Stamped) -> events.Stamp:
    """The uuid and time of an event, as given or made now. Raises `EventError`."""
    check(given, Stamped)
    now_ms = time.time_ns() // 1_000_000
    uuid, timestamp = given.get("uuid"), given.get("timestamp")
    if timestamp is not None and not isinstance(timestamp, (datetime, str)):
        # Seconds or milliseconds: the wrong guess is an event of 1970.
        raise EventError(
            f"timestamp must be a datetime or ISO text, not {type(timestamp).__name__}: for "
            "time.time() that is datetime.fromtimestamp(…, UTC)"
        )
    return events.Stamp(
        events.event_uuid(now_ms, int.from_bytes(os.urandom(10)))
        if uuid is None
        else events.checked_uuid(uuid),
        events.iso_timestamp(now_ms if timestamp is None else timestamp),
    )


def apart(one: OneFlag) -> tuple[About, bool | None]:
    """Whom a flag is asked for, and whether the answer is an exposure."""
    check(one, OneFlag)
    about = OneFlag(**one)
    return about, about.pop("send_feature_flag_events", None)


def unobserved_now_ms() -> float:
    """The time, as a line of the log gets it: a query that reports has not looked at the clock."""
    return logging.makeLogRecord({}).created * 1000


def question(person: str, about: About) -> dict[str, Any]:
    """The component's arguments that say whom a flag is asked for."""
    asked = remote_question(person, about)
    return {
        "distinctId": person,
        "personProperties": json.dumps(asked.person_properties),
        "groups": json.dumps(asked.groups),
        "groupProperties": json.dumps(asked.group_properties),
    }


def remote_question(
    person: str, about: About, keys: Sequence[str] | None = None, *, disable_geoip: bool = True
) -> Question:
    """The same for PostHog itself."""
    check(about, About)
    return Question(
        distinct_id=person,
        person_properties=_known(about.get("person_properties"), "person_properties"),
        groups=events.plain(group_keys(about), "groups"),
        group_properties={
            kind: _known(properties, f"group_properties[{kind!r}]")
            for kind, properties in (about.get("group_properties") or {}).items()
        },
        keys=keys,
        disable_geoip=disable_geoip,
    )


def _known(properties: Properties | None, what: str) -> dict[str, Any]:
    """Properties as JSON data, without those that have no JSON form: what the flag says of one that
    was not passed holds for them. Raises `EventError` for what are no properties.
    """
    try:
        return events.plain(properties, what)
    except events.UnfitValue:
        made, _ = events.spared(properties, what)
        return {name: value for name, value in made.items() if value is not None}


def group_keys(about: About) -> dict[str, str]:
    """The groups that a flag is asked for, keys as text."""
    return {kind: str(key) for kind, key in (about.get("groups") or {}).items()}


def check(given: Mapping[str, Any], known: type) -> None:
    """Refuse a keyword that is none."""
    if not given.keys() <= known.__annotations__.keys():
        unknown = sorted(given.keys() - known.__annotations__.keys())
        names = ", ".join(known.__annotations__)
        told = f"unexpected keyword argument {unknown[0]!r}"
        meant = snake_case(unknown[0])
        if meant != unknown[0]:
            raise TypeError(f"{told}; here it is {meant!r}")
        raise TypeError(f"{told}; there are {names}")


def snake_case(name: str) -> str:
    """A name of PostHog's JavaScript SDKs as it is spelled here.

    >>> snake_case("disableGeoip"), snake_case("distinct_id")
    ('disable_geoip', 'distinct_id')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()

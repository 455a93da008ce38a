"""What an event says about its person: `$set`, `$set_once`, `$unset`, and what is promoted.

Owns the rules of PostHog's person property updates as pure functions over dicts. Explicit values
always win over promoted ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_PROMOTED = frozenset(
    [
        "$app_build",
        "$app_name",
        "$app_namespace",
        "$app_version",
        "$browser",
        "$browser_version",
        "$device_type",
        "$current_url",
        "$pathname",
        "$os",
        "$os_name",
        "$os_version",
        "$referring_domain",
        "$referrer",
        "$screen_height",
        "$screen_width",
        "$viewport_height",
        "$viewport_width",
        "$raw_user_agent",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_content",
        "utm_name",
        "utm_term",
        "gclid",
        "gad_source",
        "gclsrc",
        "dclid",
        "gbraid",
        "wbraid",
        "fbclid",
        "msclkid",
        "twclid",
        "li_fat_id",
        "mc_cid",
        "igshid",
        "ttclid",
        "rdt_cid",
        "irclid",
        "_kx",
        "epik",
        "qclid",
        "sccid",
    ]
)
# A server's operating system says nothing about the person it acts for.
_NOT_FROM_SERVERS = frozenset({"$os", "$os_version"})
_NEVER_WRITE = frozenset({"$exception", "$$heatmap"})


class PersonUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to one person's properties, in the order in which they apply."""

    set_once: Mapping[str, Any]
    set: Mapping[str, Any]
    unset: frozenset[str]


def update_from(event: str, properties: Mapping[str, Any]) -> PersonUpdate:
    """The update that an event carries; an empty one for events that never write persons."""
    if event in _NEVER_WRITE:
        return PersonUpdate(set_once={}, set={}, unset=frozenset())
    promoted = _promoted(properties)
    once = {f"$initial_{name.removeprefix('$')}": value for name, value in promoted.items()}
    return PersonUpdate(
        set_once={**once, **_object(properties.get("$set_once"))},
        set={**promoted, **_object(properties.get("$set"))},
        unset=_names(properties.get("$unset")),
    )


def apply(update: PersonUpdate, current: Mapping[str, Any]) -> dict[str, Any] | None:
    """`current` after the update, or None when nothing changes.

    >>> update = PersonUpdate(set_once={"a": 1, "b": 1}, set={"c": 2}, unset=frozenset({"d"}))
    >>> apply(update, {"a": 0, "b": None, "d": 4})
    {'a': 0, 'b': 1, 'c': 2}
    >>> apply(update, {"a": 0, "b": 1, "c": 2}) is None
    True
    """
    result = dict(current)
    changed = False
    for name, value in update.set_once.items():
        if result.get(name) is None and not _same(result, name, value):
            result[name] = value
            changed = True
    for name, value in update.set.items():
        if not _same(result, name, value):
            result[name] = value
            changed = True
    for name in update.unset & result.keys():
        del result[name]
        changed = True
    return result if changed else None


def _same(known: Mapping[str, Any], name: str, value: object) -> bool:
    # In Python 1 == True, so the type decides too.
    return name in known and type(known[name]) is type(value) and known[name] == value


def _promoted(properties: Mapping[str, Any]) -> dict[str, Any]:
    names = _PROMOTED & properties.keys()
    if not names:
        return {}
    if properties.get("$is_server") is True:
        names = names - _NOT_FROM_SERVERS
    return {name: properties[name] for name in properties if name in names}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> frozenset[str]:
    if isinstance(value, dict):
        return frozenset(value)
    if isinstance(value, list):
        return frozenset(name for name in value if isinstance(name, str))
    return frozenset()

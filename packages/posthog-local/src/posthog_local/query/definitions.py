"""What events and properties there are: how many carry which property, of which type, which values.

Owns what is told of events that were read. It looks at the latest of them, so an event with many
millions costs no more than one with thousands. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from posthog_local.store.reader import StoredEvent

#: So many of the latest events are looked at.
LOOKED_AT = 2_000
_VALUES = 100
_CHARACTERS = 120


class SeenProperty(msgspec.Struct, frozen=True, kw_only=True):
    """A property as the looked-at events carry it."""

    name: str
    events: int
    #: text, number, boolean, list, object or null; the most frequent first.
    kinds: tuple[str, ...]
    #: The most frequent values as text, with how many events have them.
    values: tuple[tuple[str, int], ...]
    #: How many different values there are.
    distinct: int


def properties_of(events: Sequence[StoredEvent]) -> list[SeenProperty]:
    """Every property of these events: those that people named before PostHog's own."""
    kinds: dict[str, Counter[str]] = {}
    values: dict[str, Counter[str]] = {}
    for event in events:
        for name, value in event.properties.items():
            kinds.setdefault(name, Counter())[_kind(value)] += 1
            values.setdefault(name, Counter())[_text(value)] += 1
    found = [
        SeenProperty(
            name=name,
            events=counts.total(),
            kinds=tuple(kind for kind, _ in counts.most_common()),
            values=tuple(values[name].most_common(_VALUES)),
            distinct=len(values[name]),
        )
        for name, counts in kinds.items()
    ]
    return sorted(found, key=lambda one: (one.name.startswith("$"), -one.events, one.name))


def carriers_of(events: Sequence[StoredEvent], name: str) -> list[tuple[str, int]]:
    """The names of those of these events that carry a property, with how many do."""
    return Counter(event.event for event in events if name in event.properties).most_common()


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case dict():
            return "object"
        case _:
            return "null"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"

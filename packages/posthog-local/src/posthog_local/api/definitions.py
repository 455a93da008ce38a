"""Definitions of events and properties through PostHog's API, as agents ask for them first.

Owns their shapes. Nobody writes definitions here: they are what has come, and a property's type is
that of most of its values in the latest events.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

import msgspec

from posthog_local.api.door import ApiError, Door, bounds, page
from posthog_local.http.exchange import Request, Response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.query.definitions import LOOKED_AT, SeenProperty, properties_of
from posthog_local.store.reader import EventFilter
from posthog_local.store.views import View

# Of our own: the same name has the same id on every machine.
_NAMESPACE = UUID("9d7a7d86-6f5f-4b11-9b8b-3b6f1a0c52d4")
_MOST = 10_000
_MAX_NAMES = 50
_TYPES = {"text": "String", "number": "Numeric", "boolean": "Boolean"}


class DefinitionApi:
    """Handlers that read what has come."""

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        yield door.of_project("/event_definitions", GET=door.asked(self.events))
        yield door.of_project("/property_definitions", GET=door.asked(self.properties))

    def events(self, view: View, request: Request) -> Response:
        """Every event by name, the most frequent first, by `search`."""
        limit, offset = bounds(request)
        wanted = request.query.get("search", "").lower()
        found = [one for one in view.events.counted_names(_MOST) if wanted in one[0].lower()]
        shown = [_event(name, last_us) for name, _, last_us in found[offset : offset + limit]]
        return page(request, shown, len(found))

    def properties(self, view: View, request: Request) -> Response:
        """Properties of the latest events, by `search`, and of `event_names` alone if given."""
        limit, offset = bounds(request)
        wanted = request.query.get("search", "").lower()
        seen: dict[str, SeenProperty] = {}
        names: list[str | None] = [*_names(request)] or [None]
        for name in names:
            events = view.events.latest_events(EventFilter(event=name), LOOKED_AT)
            for one in properties_of(events):
                if wanted in one.name.lower():
                    seen.setdefault(one.name, one)
        found = sorted(seen.values(), key=lambda one: one.name)
        return page(request, [_property(one) for one in found[offset : offset + limit]], len(found))


def _names(request: Request) -> list[str]:
    text = request.query.get("event_names")
    if not text:
        return []
    try:
        names = msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError as error:
        known = '["order placed"]'
        raise ApiError(400, "invalid_input", f"event_names is JSON: {known}: {error}") from error
    if len(names) > _MAX_NAMES:
        raise ApiError(400, "invalid_input", f"event_names takes {_MAX_NAMES} names at most")
    return names


def _event(name: str, last_us: int) -> dict[str, Any]:
    return {
        "id": str(uuid5(_NAMESPACE, f"event:{name}")),
        "name": name,
        "last_seen_at": format_time(last_us),
        "description": None,
        "tags": [],
        "verified": False,
        "hidden": False,
    }


def _property(one: SeenProperty) -> dict[str, Any]:
    kind = _TYPES.get(one.kinds[0])
    return {
        "id": str(uuid5(_NAMESPACE, f"property:{one.name}")),
        "name": one.name,
        "property_type": kind,
        "is_numerical": kind == "Numeric",
        "is_seen_on_filtered_events": True,
        "description": None,
        "tags": [],
        "verified": False,
        "hidden": False,
    }

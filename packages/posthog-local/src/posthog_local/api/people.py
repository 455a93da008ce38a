"""Persons, their events and groups through PostHog's API.

Owns the shapes of these and how they are searched and changed. A change of a person's properties is
an event, as it is at PostHog.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import msgspec

from posthog_local.api.door import ApiError, Door, body_of, bounds, not_found, page, time_us
from posthog_local.http.exchange import Request, Response, json_response
from posthog_local.http.router import Endpoint
from posthog_local.ingest.clock import format_time
from posthog_local.ingest.event import IncomingEvent, new_uuid7
from posthog_local.store.reader import EventFilter, StoredEvent, StoredPerson
from posthog_local.store.shelves.persons import PersonFilter
from posthog_local.store.store import Store
from posthog_local.store.views import View


class _Property(msgspec.Struct, frozen=True):
    key: str
    value: msgspec.Raw


class _Unset(msgspec.Struct, frozen=True, rename={"name": "$unset"}):
    name: str


class PeopleApi:
    """Handlers over the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def endpoints(self, door: Door) -> Iterable[Endpoint]:
        """Every route."""
        yield door.of_project("/persons", GET=door.asked(self.persons))
        yield door.of_project("/persons/{id}", GET=door.asked(self.person), DELETE=self.delete)
        yield door.of_project("/persons/{id}/update_property", POST=self.update_property)
        yield door.of_project("/persons/{id}/delete_property", POST=self.delete_property)
        yield door.of_project("/events", GET=door.asked(self.events))
        yield door.of_project("/events/{id}", GET=door.asked(self.event))
        yield door.of_project("/groups_types", GET=door.asked(self.group_types))
        yield door.of_project("/groups", GET=door.asked(self.groups))
        yield door.of_project("/groups/find", GET=door.asked(self.group))

    def persons(self, view: View, request: Request) -> Response:
        """Persons, the newest first, by id, e-mail address or any text of theirs."""
        limit, offset = bounds(request)
        wanted = PersonFilter(
            distinct_id=request.query.get("distinct_id"),
            email=request.query.get("email"),
            search=request.query.get("search"),
            limit=limit,
            offset=offset,
        )
        found = view.persons.find(wanted)
        return page(request, [_person(view, one) for one in found], view.persons.count(wanted))

    def person(self, view: View, request: Request) -> Response:
        """One person, by person id or distinct id."""
        return json_response(_person(view, _found(view, request)))

    async def delete(self, request: Request) -> Response:
        """Deletes a person, and with `delete_events` what they did."""
        person = await self._store.read(lambda view: _found(view, request))
        with_events = request.query.get("delete_events") == "true"
        await self._store.delete_person(person.id, with_events=with_events)
        return Response(status=204)

    async def update_property(self, request: Request) -> Response:
        """Sets one property."""
        given = body_of(request, _Property)
        value = msgspec.json.decode(given.value)
        return await self._change(request, "$set", {"$set": {given.key: value}})

    async def delete_property(self, request: Request) -> Response:
        """Removes one property."""
        given = body_of(request, _Unset)
        return await self._change(request, "$delete_person_property", {"$unset": [given.name]})

    def events(self, view: View, request: Request) -> Response:
        """Events, the last to arrive first, by name, person and time."""
        limit, _ = bounds(request)
        wanted = EventFilter(
            event=request.query.get("event"),
            distinct_id=request.query.get("distinct_id"),
            after_us=time_us(request, "after"),
            before_us=time_us(request, "before"),
        )
        return page(request, [_event(one) for one in view.events.latest_events(wanted, limit)])

    def event(self, view: View, request: Request) -> Response:
        """One event, by its uuid."""
        try:
            found = view.events.events(EventFilter(uuid=request.path_values["id"]), 1)
        except ValueError:
            raise not_found() from None
        if not found:
            raise not_found()
        return json_response(_event(found[0]))

    def group_types(self, view: View, request: Request) -> Response:
        """The types of groups with their numbers."""
        types = view.events.group_types().items()
        return json_response([{"group_type": name, "group_type_index": n} for n, name in types])

    def groups(self, view: View, request: Request) -> Response:
        """The groups of one type."""
        limit, offset = bounds(request)
        index = _index(request)
        found = view.persons.groups(index, limit, offset)
        return page(
            request, [_group(index, *one) for one in found], view.persons.group_count(index)
        )

    def group(self, view: View, request: Request) -> Response:
        """One group, by its key."""
        index, key = _index(request), request.query.get("group_key", "")
        found = view.persons.group(index, key)
        if found is None:
            raise not_found()
        return json_response(_group(index, *found))

    async def _change(self, request: Request, name: str, properties: dict[str, Any]) -> Response:
        person = await self._store.read(lambda view: _found(view, request))
        now_us = time.time_ns() // 1000
        event = IncomingEvent(
            uuid=new_uuid7(now_us),
            event=name,
            distinct_id=person.distinct_ids[0],
            timestamp_us=now_us,
            received_us=now_us,
            properties=properties,
        )
        await self._store.add_events([event])
        return Response(status=202)


def _found(view: View, request: Request) -> StoredPerson:
    asked = unquote(request.path_values["id"])
    person = view.persons.by_id(asked) or view.events.person(asked)
    if person is None:
        raise not_found()
    return person


def _index(request: Request) -> int:
    text = request.query.get("group_type_index", "")
    if not (text.isascii() and text.isdigit() and len(text) == 1):
        raise ApiError(400, "required", "group_type_index must be 0 to 4", "group_type_index")
    return int(text)


def _person(view: View, person: StoredPerson) -> dict[str, Any]:
    name = person.properties.get("email") or person.properties.get("name")
    last = view.persons.last_seen_us(person.distinct_ids)
    return {
        "id": person.id,
        "uuid": person.id,
        "type": "person",
        "name": name if isinstance(name, str) else next(iter(person.distinct_ids), ""),
        "distinct_ids": person.distinct_ids,
        "properties": person.properties,
        "is_identified": person.is_identified,
        "created_at": format_time(person.created_at_us),
        "last_seen_at": None if last is None else format_time(last),
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    return {
        "id": event.uuid,
        "distinct_id": event.distinct_id,
        "event": event.event,
        "timestamp": format_time(event.timestamp_us),
        "properties": event.properties,
        "person": {"distinct_ids": [event.distinct_id], "uuid": event.person_id},
        "elements_chain": event.properties.get("$elements_chain") or "",
    }


def _group(index: int, key: str, properties: dict[str, Any], created_at_us: int) -> dict[str, Any]:
    return {
        "group_type_index": index,
        "group_key": key,
        "group_properties": properties,
        "created_at": format_time(created_at_us),
    }

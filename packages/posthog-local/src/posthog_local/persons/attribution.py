"""One event meets the people: merges, personless rules, property updates, groups and warnings.

Owns the order of PostHog's person processing for a single event. Works on `People` and `Groups`
alone, so the same code runs on the store and on the dicts of a test.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import msgspec

from posthog_local.ingest.distinct_id import text_id
from posthog_local.ingest.event import IncomingEvent
from posthog_local.ingest.warning import IngestionWarning
from posthog_local.persons import properties as person_properties
from posthog_local.persons.groups import MAX_GROUP_KEY_CHARACTERS, Groups
from posthog_local.persons.ids import person_uuid
from posthog_local.persons.people import MergeOutcome, People

_NEEDS_A_PERSON = frozenset(["$identify", "$create_alias", "$merge_dangerously", "$groupidentify"])
_PERSON_SHAPES: dict[str, type | tuple[type, ...]] = {
    "$set": dict,
    "$set_once": dict,
    "$unset": (dict, list),
}
_PERSON_FIELDS = tuple(_PERSON_SHAPES)
# A personless event this long after its person was made belongs to a client that has not noticed.
_UPGRADE_AFTER_US = 60 * 1_000_000


class PersonMode(enum.Enum):
    """How an event was tied to its person, in PostHog's words."""

    FULL = "full"
    PROPERTYLESS = "propertyless"
    FORCE_UPGRADE = "force_upgrade"


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """What person processing found; `kept` is false for an event that PostHog would drop."""

    kept: bool
    person_id: str
    mode: PersonMode
    properties: dict[str, Any]
    groups: dict[int, str]
    warnings: tuple[IngestionWarning, ...]


def attribute(event: IncomingEvent, people: People, groups: Groups) -> Attribution:
    """Ties the event to its person, changing people and groups as the event says."""
    flag = event.properties.get("$process_person_profile")
    if flag is False:
        return _personless(event, people)
    warnings = list(_odd_shapes(event))
    if flag is not None and flag is not True:
        warnings.append(_warning("invalid_process_person_profile", value=flag))
    if (warning := _merge(event, people)) is not None:
        warnings.append(warning)
    person = people.find_or_create(event.distinct_id, event.timestamp_us)
    update = person_properties.update_from(event.event, event.properties)
    changed = person_properties.apply(update, person.properties)
    if changed is not None:
        person.properties = changed
        people.changed(person)
    if (warning := _identify_group(event, groups)) is not None:
        warnings.append(warning)
    keys = groups.keys_of(event.properties.get("$groups"))
    if unknown := groups.unnumbered(event.properties.get("$groups")):
        warnings.append(_warning("group_type_limit_reached", group_types=unknown))
    return Attribution(
        kept=True,
        person_id=person.id,
        mode=PersonMode.FULL,
        properties=event.properties,
        groups=keys,
        warnings=tuple(warnings),
    )


def _personless(event: IncomingEvent, people: People) -> Attribution:
    person = people.find(event.distinct_id)
    mode = PersonMode.PROPERTYLESS
    if person is not None and event.timestamp_us > person.created_at_us + _UPGRADE_AFTER_US:
        mode = PersonMode.FORCE_UPGRADE
    kept = event.event not in _NEEDS_A_PERSON
    warnings = list[IngestionWarning]()
    if not kept:
        kind = "invalid_event_when_process_person_profile_is_false"
        warnings.append(_warning(kind, event=event.event))
    elif dropped := {name: event.properties[name] for name in _PERSON_FIELDS
                     if event.properties.get(name)}:  # fmt: skip
        warnings.append(_warning("person_properties_of_personless_event", **dropped))
    return Attribution(
        kept=kept,
        person_id=person_uuid(event.distinct_id) if person is None else person.id,
        mode=mode,
        properties={k: v for k, v in event.properties.items() if k not in _PERSON_FIELDS},
        groups={},
        warnings=tuple(warnings),
    )


def _merge(event: IncomingEvent, people: People) -> IngestionWarning | None:
    match event.event:
        case "$identify":
            other = event.properties.get("$anon_distinct_id")
        case "$create_alias" | "$merge_dangerously":
            other = event.properties.get("alias")
            if other is None:
                return _warning("alias_missing")
        case _:
            return None
    if other is None:
        return None
    outcome = people.merge(
        text_id(other),
        event.distinct_id,
        created_at_us=event.timestamp_us,
        dangerously=event.event == "$merge_dangerously",
    )
    if outcome in (MergeOutcome.SAME_ID, MergeOutcome.MERGED):
        return None
    return _warning(outcome.value, other=text_id(other), distinct_id=event.distinct_id)


def _odd_shapes(event: IncomingEvent) -> Iterator[IngestionWarning]:
    """Person fields that PostHog reads as nothing at all."""
    for name, shapes in _PERSON_SHAPES.items():
        value = event.properties.get(name)
        if value is not None and not isinstance(value, shapes):
            yield _warning("invalid_person_properties", field=name, value=value)


def _identify_group(event: IncomingEvent, groups: Groups) -> IngestionWarning | None:
    if event.event != "$groupidentify":
        return None
    kind, key = event.properties.get("$group_type"), event.properties.get("$group_key")
    if not isinstance(kind, str) or not kind or key is None or key == "":
        return _warning("group_key_missing", group_type=kind, group_key=key)
    index = groups.type_index(kind)
    if index is None:
        return _warning("group_type_limit_reached", group_types=[kind])
    text = text_id(key)[:MAX_GROUP_KEY_CHARACTERS]
    groups.identify(index, text, event.properties.get("$group_set"), event.timestamp_us)
    return None


def _warning(kind: str, **details: Any) -> IngestionWarning:
    return IngestionWarning(kind=kind, details=details)

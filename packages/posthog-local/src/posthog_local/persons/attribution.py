"""One event meets the people: merges, personless rules, property updates, groups and warnings.

Owns the order of PostHog's person processing for a single event. Works on `People` and `Groups`
alone, so the same code runs on the store and on the dicts of a test.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from posthog_local.ingest.event import IncomingEvent, text_id
from posthog_local.persons import properties as person_properties
from posthog_local.persons.groups import MAX_GROUP_KEY_CHARACTERS, Groups
from posthog_local.persons.ids import person_uuid
from posthog_local.persons.people import MergeOutcome, People

_NEEDS_A_PERSON = frozenset(["$identify", "$create_alias", "$merge_dangerously", "$groupidentify"])
_PERSON_FIELDS = ("$set", "$set_once", "$unset")
# A personless event this long after its person was made belongs to a client that has not noticed.
_UPGRADE_AFTER_US = 60 * 1_000_000


class PersonMode(enum.Enum):
    """How an event was tied to its person, in PostHog's words."""

    FULL = "full"
    PROPERTYLESS = "propertyless"
    FORCE_UPGRADE = "force_upgrade"


class IngestionWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something that PostHog would drop or rewrite in silence, said aloud."""

    kind: str
    details: dict[str, Any]


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
    warnings = []
    if flag is not None and flag is not True:
        warnings.append(
            IngestionWarning(kind="invalid_process_person_profile", details={"value": flag})
        )
    if (warning := _merge(event, people)) is not None:
        warnings.append(warning)
    person = people.find_or_create(event.distinct_id, event.timestamp_us)
    update = person_properties.update_from(event.event, event.properties)
    changed = person_properties.apply(update, person.properties)
    if changed is not None:
        person.properties = changed
        people.changed(person)
    _identify_group(event, groups)
    return Attribution(
        kept=True,
        person_id=person.id,
        mode=PersonMode.FULL,
        properties=event.properties,
        groups=groups.keys_of(event.properties.get("$groups")),
        warnings=tuple(warnings),
    )


def _personless(event: IncomingEvent, people: People) -> Attribution:
    person = people.find(event.distinct_id)
    mode = PersonMode.PROPERTYLESS
    if person is not None and event.timestamp_us > person.created_at_us + _UPGRADE_AFTER_US:
        mode = PersonMode.FORCE_UPGRADE
    kept = event.event not in _NEEDS_A_PERSON
    kind = "invalid_event_when_process_person_profile_is_false"
    warning = IngestionWarning(kind=kind, details={"event": event.event})
    return Attribution(
        kept=kept,
        person_id=person_uuid(event.distinct_id) if person is None else person.id,
        mode=mode,
        properties={k: v for k, v in event.properties.items() if k not in _PERSON_FIELDS},
        groups={},
        warnings=() if kept else (warning,),
    )


def _merge(event: IncomingEvent, people: People) -> IngestionWarning | None:
    match event.event:
        case "$identify":
            other = event.properties.get("$anon_distinct_id")
        case "$create_alias" | "$merge_dangerously":
            other = event.properties.get("alias")
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
    return IngestionWarning(
        kind=outcome.value, details={"other": text_id(other), "distinct_id": event.distinct_id}
    )


def _identify_group(event: IncomingEvent, groups: Groups) -> None:
    if event.event != "$groupidentify":
        return
    kind, key = event.properties.get("$group_type"), event.properties.get("$group_key")
    if not isinstance(kind, str) or not kind or key is None or key == "":
        return
    index = groups.type_index(kind)
    if index is not None:
        text = text_id(key)[:MAX_GROUP_KEY_CHARACTERS]
        groups.identify(index, text, event.properties.get("$group_set"), event.timestamp_us)

"""What one event does to persons and groups."""

from __future__ import annotations

from typing import Any

from posthog_local.ingest.event import IncomingEvent
from posthog_local.persons.attribution import Attribution, PersonMode, attribute
from posthog_local.persons.groups import Groups
from posthog_local.persons.ids import person_uuid
from posthog_local.persons.people import People, Person

_MINUTE = 60 * 1_000_000


class Shelves:
    """Persons and groups in dicts, enough for one test."""

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.groups: dict[tuple[int, str], dict[str, Any]] = {}

    def find(self, distinct_id: str) -> Person | None:
        return None

    def link(self, distinct_id: str, person_id: str) -> None: ...
    def move_links(self, from_person_id: str, to_person_id: str) -> None: ...
    def save(self, person: Person) -> None: ...
    def delete(self, person_id: str) -> None: ...

    def group_types(self) -> dict[str, int]:
        return dict(self.types)

    def add_group_type(self, name: str, index: int) -> None:
        self.types[name] = index

    def group(self, index: int, key: str) -> dict[str, Any] | None:
        return self.groups.get((index, key))

    def save_group(
        self, index: int, key: str, properties: dict[str, Any], created_at_us: int
    ) -> None:
        self.groups[index, key] = properties


class World:
    def __init__(self) -> None:
        self.shelves = Shelves()
        self.people = People(self.shelves)
        self.groups = Groups(self.shelves)

    def send(
        self, event: str, distinct_id: str = "u", at: int = 0, **properties: Any
    ) -> Attribution:
        incoming = IncomingEvent(
            uuid="", event=event, distinct_id=distinct_id, timestamp_us=at, received_us=at,
            properties=properties,
        )  # fmt: skip
        return attribute(incoming, self.people, self.groups)

    def person(self, distinct_id: str = "u") -> Person:
        person = self.people.find(distinct_id)
        assert person is not None
        return person


def test_set_overwrites_set_once_does_not_unset_removes() -> None:
    world = World()
    world.send("a", **{"$set": {"x": 1, "y": 1}, "$set_once": {"first": 1, "x": 9}})
    world.send("b", **{"$set": {"x": 2}, "$set_once": {"first": 2}, "$unset": ["y"]})
    assert world.person().properties == {"x": 2, "first": 1}


def test_true_and_one_are_different_values() -> None:
    world = World()
    world.send("a", **{"$set": {"x": 1}})
    world.send("b", **{"$set": {"x": True}})
    assert world.person().properties["x"] is True


def test_browser_facts_are_promoted_and_explicit_values_win() -> None:
    world = World()
    world.send("$pageview", **{"$os": "Linux", "utm_source": "x", "$set": {"$os": "Mine"}})
    assert world.person().properties == {
        "$os": "Mine",
        "utm_source": "x",
        "$initial_os": "Linux",
        "$initial_utm_source": "x",
    }


def test_a_server_s_system_is_not_the_person_s() -> None:
    world = World()
    world.send("e", **{"$os": "Linux", "$is_server": True})
    assert world.person().properties == {}


def test_exceptions_never_write_persons() -> None:
    world = World()
    world.send("$exception", **{"$set": {"x": 1}, "$os": "Linux"})
    assert world.person().properties == {}


def test_personless_events_leave_nobody_and_say_the_same_uuid() -> None:
    world = World()
    result = world.send("e", **{"$process_person_profile": False, "$set": {"x": 1}, "n": 1})
    assert (result.mode, result.person_id) == (PersonMode.PROPERTYLESS, person_uuid("u"))
    assert result.properties == {"$process_person_profile": False, "n": 1}
    assert world.people.find("u") is None
    world.send("e")
    assert world.person().id == result.person_id


def test_a_late_personless_event_of_a_known_person_is_upgraded() -> None:
    world = World()
    world.send("e")
    personless = {"$process_person_profile": False}
    assert world.send("e", at=_MINUTE, **personless).mode is PersonMode.PROPERTYLESS
    assert world.send("e", at=_MINUTE + 1, **personless).mode is PersonMode.FORCE_UPGRADE


def test_identify_without_a_profile_is_dropped_with_a_warning() -> None:
    result = World().send("$identify", **{"$process_person_profile": False})
    assert not result.kept
    kinds = [warning.kind for warning in result.warnings]
    assert kinds == ["invalid_event_when_process_person_profile_is_false"]


def test_a_profile_flag_that_is_no_boolean_counts_as_true() -> None:
    world = World()
    result = world.send("e", **{"$process_person_profile": "false"})
    assert result.mode is PersonMode.FULL
    assert [warning.kind for warning in result.warnings] == ["invalid_process_person_profile"]


def test_identify_joins_the_anonymous_person() -> None:
    world = World()
    world.send("$pageview", "anon", **{"$set": {"seen": 1}})
    world.send("$identify", "u", **{"$anon_distinct_id": "anon", "$set": {"plan": "pro"}})
    assert world.person("anon") is world.person("u")
    assert world.person("u").properties == {"seen": 1, "plan": "pro"}
    assert world.person("u").is_identified


def test_an_identified_anonymous_id_is_not_taken_over() -> None:
    world = World()
    world.send("$identify", "u", **{"$anon_distinct_id": "anon"})
    world.send("e", "v")
    result = world.send("$identify", "v", **{"$anon_distinct_id": "anon"})
    assert [warning.kind for warning in result.warnings] == ["cannot_merge_already_identified"]
    assert world.person("v") is not world.person("anon")
    world.send("$merge_dangerously", "v", alias="anon")
    assert world.person("v") is world.person("anon") is world.person("u")


def test_groups_are_numbered_and_merged() -> None:
    world = World()
    world.send("$groupidentify", **{"$group_type": "company", "$group_key": "acme",
                                    "$group_set": {"size": 5}})  # fmt: skip
    world.send("$groupidentify", **{"$group_type": "company", "$group_key": "acme",
                                    "$group_set": {"plan": "pro"}})  # fmt: skip
    assert world.shelves.groups == {(0, "acme"): {"size": 5, "plan": "pro"}}
    kinds = {f"type{number}": f"key{number}" for number in range(6)}
    result = world.send("e", **{"$groups": kinds})
    assert result.groups == {1: "key0", 2: "key1", 3: "key2", 4: "key3"}

"""Merging, against a model that is nothing but sets of ids."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.persons.people import MergeOutcome, People, Person


class DictShelf:
    """The shelf as two dicts; persons are stored as bytes, as a database would."""

    def __init__(self) -> None:
        self.links: dict[str, str] = {}
        self.persons: dict[str, bytes] = {}

    def find(self, distinct_id: str) -> Person | None:
        person_id = self.links.get(distinct_id)
        saved = self.persons.get(person_id or "")
        return None if saved is None else msgspec.json.decode(saved, type=Person)

    def link(self, distinct_id: str, person_id: str) -> None:
        assert distinct_id not in self.links, "an id was linked twice"
        self.links[distinct_id] = person_id

    def move_links(self, from_person_id: str, to_person_id: str) -> None:
        for distinct_id, person_id in self.links.items():
            if person_id == from_person_id:
                self.links[distinct_id] = to_person_id

    def save(self, person: Person) -> None:
        self.persons[person.id] = msgspec.json.encode(person)

    def delete(self, person_id: str) -> None:
        self.persons.pop(person_id, None)


class Model:
    """Persons as lists of [ids, identified]."""

    def __init__(self) -> None:
        self.persons: list[tuple[set[str], list[bool]]] = []

    def find(self, distinct_id: str) -> tuple[set[str], list[bool]] | None:
        return next((person for person in self.persons if distinct_id in person[0]), None)

    def touch(self, distinct_id: str) -> None:
        if self.find(distinct_id) is None:
            self.persons.append(({distinct_id}, [False]))

    def merge(self, other: str, into: str, dangerously: bool) -> bool:
        if other == into:
            return True
        theirs, ours = self.find(other), self.find(into)
        if theirs and ours and theirs is not ours:
            if theirs[1][0] and not dangerously:
                return False
            self.persons.remove(theirs)
            ours[0].update(theirs[0])
        person = ours or theirs
        if person is None:
            person = (set(), [False])
            self.persons.append(person)
        person[0].update((other, into))
        person[1][0] = True
        return True


_IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
_STEPS = st.lists(
    st.tuples(st.just("touch"), _IDS, _IDS)
    | st.tuples(st.sampled_from(["merge", "force"]), _IDS, _IDS)
    | st.tuples(st.sampled_from(["flush", "forget"]), _IDS, _IDS),
    max_size=40,
)


@given(_STEPS)
@settings(max_examples=500, deadline=None)
def test_merges_agree_with_the_model(steps: list[tuple[str, str, str]]) -> None:
    shelf, model = DictShelf(), Model()
    people = People(shelf)
    for step, first, second in steps:
        match step:
            case "touch":
                people.find_or_create(first, 0)
                model.touch(first)
            case "flush":
                people.flush()
            case "forget":
                people.flush()
                people.forget()
            case _:
                force = step == "force"
                outcome = people.merge(first, second, created_at_us=0, dangerously=force)
                refused = outcome is MergeOutcome.ALREADY_IDENTIFIED
                assert refused != model.merge(first, second, force)
    people.flush()
    _assert_same(shelf, model)
    assert set(shelf.links.values()) == set(shelf.persons)


def _assert_same(shelf: DictShelf, model: Model) -> None:
    known: dict[str, set[str]] = {}
    for distinct_id, person_id in shelf.links.items():
        known.setdefault(person_id, set()).add(distinct_id)
    actual = sorted(
        (sorted(ids), msgspec.json.decode(shelf.persons[person_id])["is_identified"])
        for person_id, ids in known.items()
    )
    assert actual == sorted((sorted(ids), identified[0]) for ids, identified in model.persons)


def test_the_target_s_properties_win_and_the_earlier_creation_stays() -> None:
    people = People(DictShelf())
    other, target = people.find_or_create("other", 5), people.find_or_create("target", 9)
    other.properties, target.properties = {"a": 1, "b": 1}, {"b": 2}
    assert people.merge("other", "target", created_at_us=10) is MergeOutcome.MERGED
    merged: Any = people.find("other")
    assert merged is people.find("target")
    assert (merged.properties, merged.created_at_us) == ({"a": 1, "b": 2}, 5)
    assert merged.is_identified


def test_illegal_ids_never_merge() -> None:
    people = People(DictShelf())
    for illegal in ("null", "undefined", "'None'", " ", "Anonymous", "0"):
        assert people.merge(illegal, "u", created_at_us=0) is MergeOutcome.ILLEGAL
        assert people.merge("u", illegal, created_at_us=0) is MergeOutcome.ILLEGAL
    assert people.find("u") is None


def test_two_ids_of_a_remembered_person_are_one_object() -> None:
    shelf = DictShelf()
    first = People(shelf)
    first.merge("a", "b", created_at_us=0)
    first.flush()
    people = People(copy.deepcopy(shelf))
    assert people.find("a") is people.find("b") is not None

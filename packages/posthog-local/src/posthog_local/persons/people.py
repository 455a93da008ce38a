"""The people of the project: which distinct ids are one person, and merging them.

Owns PostHog's merge rules over a `Shelf` that keeps persons and links; it keeps a working set in
memory and writes changed persons back on `flush`. Never talks SQL. Invariant: a distinct id belongs
to at most one person, and every known person has at least one.
"""

from __future__ import annotations

import enum
from typing import Any, Protocol

import msgspec

from posthog_local.ingest.distinct_id import is_illegal
from posthog_local.persons.ids import person_uuid

# The working set is dropped whole beyond this, at a flush, when nothing in it is unsaved.
MAX_REMEMBERED_IDS = 100_000


class Person(msgspec.Struct, kw_only=True):
    """One person; `merged_into` is set once, when it becomes part of another."""

    id: str
    properties: dict[str, Any]
    created_at_us: int
    is_identified: bool = False
    merged_into: Person | None = None


class MergeOutcome(enum.Enum):
    """What a merge did; the values of the refusals are PostHog's ingestion warnings."""

    SAME_ID = "same_id"
    MERGED = "merged"
    ILLEGAL = "cannot_merge_with_illegal_distinct_id"
    ALREADY_IDENTIFIED = "cannot_merge_already_identified"


class Shelf(Protocol):
    """Where persons are kept; every call is inside the caller's transaction."""

    def find(self, distinct_id: str) -> Person | None: ...
    def link(self, distinct_id: str, person_id: str) -> None: ...
    def move_links(self, from_person_id: str, to_person_id: str) -> None: ...
    def save(self, person: Person) -> None: ...
    def delete(self, person_id: str) -> None: ...


class People:
    """Finds, creates and merges persons; changes reach the shelf at `flush`, in one transaction.

    After a failed transaction call `forget`, because the working set may be ahead of the shelf.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        # distinct id -> its person, or None when the shelf knows none.
        self._by_id: dict[str, Person | None] = {}
        # person id -> the one object that stands for it, so that two ids of a person share it.
        self._persons: dict[str, Person] = {}
        self._unsaved: dict[str, Person] = {}

    def find(self, distinct_id: str) -> Person | None:
        """The person that holds this id now, after every merge so far."""
        try:
            person = self._by_id[distinct_id]
        except KeyError:
            person = self._shelf.find(distinct_id)
            if person is not None:
                person = self._persons.setdefault(person.id, person)
            self._by_id[distinct_id] = person
        while person is not None and person.merged_into is not None:
            person = person.merged_into
        return person

    def find_or_create(self, distinct_id: str, created_at_us: int) -> Person:
        """The person of this id; a new one gets the uuid that its first id determines."""
        person = self.find(distinct_id)
        if person is None:
            person = Person(id=person_uuid(distinct_id), properties={}, created_at_us=created_at_us)
            self._attach(distinct_id, person)
        return person

    def merge(
        self, other_id: str, into_id: str, *, created_at_us: int, dangerously: bool = False
    ) -> MergeOutcome:
        """Makes both ids one person, keeping the person of `into_id` where both exist."""
        if other_id == into_id:
            return MergeOutcome.SAME_ID
        if is_illegal(other_id) or is_illegal(into_id):
            return MergeOutcome.ILLEGAL
        other, target = self.find(other_id), self.find(into_id)
        if other is not None and target is not None and other is not target:
            if other.is_identified and not dangerously:
                return MergeOutcome.ALREADY_IDENTIFIED
            self._absorb(other, target)
        person = target or other or self.find_or_create(into_id, created_at_us)
        for distinct_id in (into_id, other_id):
            if self.find(distinct_id) is None:
                self._attach(distinct_id, person)
        person.is_identified = True
        self.changed(person)
        return MergeOutcome.MERGED

    def changed(self, person: Person) -> None:
        """Marks a person whose fields were changed, so that `flush` saves it."""
        self._unsaved[person.id] = person

    def flush(self) -> None:
        """Saves every changed person; call it before the transaction commits."""
        for person in self._unsaved.values():
            if person.merged_into is None:
                self._shelf.save(person)
        self._unsaved.clear()
        if len(self._by_id) > MAX_REMEMBERED_IDS:
            self._by_id.clear()
            self._persons.clear()

    def forget(self) -> None:
        """Drops the working set; the shelf is the truth again."""
        self._by_id.clear()
        self._persons.clear()
        self._unsaved.clear()

    def _attach(self, distinct_id: str, person: Person) -> None:
        self._persons[person.id] = person
        self._by_id[distinct_id] = person
        self._shelf.link(distinct_id, person.id)
        self.changed(person)

    def _absorb(self, other: Person, target: Person) -> None:
        target.properties = {**other.properties, **target.properties}
        target.created_at_us = min(target.created_at_us, other.created_at_us)
        self._shelf.move_links(other.id, target.id)
        self._shelf.delete(other.id)
        self._unsaved.pop(other.id, None)
        self._persons.pop(other.id, None)
        other.merged_into = target
        # Ids of `other` that are not remembered here are found through the shelf from now on.
        self._shelf.save(target)

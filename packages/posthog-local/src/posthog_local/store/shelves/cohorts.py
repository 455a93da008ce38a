"""Cohorts in the store: saving, deleting, and how many persons are in one.

Owns the check of a definition; flags that refer to a cohort see a change at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from posthog_local.flags.book import FlagBook
from posthog_local.flags.cohorts import CohortBook, MissingCohort
from posthog_local.flags.definition import InvalidDefinition, PropertyFilter
from posthog_local.store.shelves.persons import PersonList
from posthog_local.store.transaction import Transaction
from posthog_local.store.writer import Job

# Counting asks each person; beyond this many the count is of the newest.
COUNTED = 10_000


def checked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition, if it has the shape of a cohort; else `InvalidDefinition`.

    >>> checked({"name": "pro", "type": "OR", "values": []})["type"]
    'OR'
    """
    whole = dict(definition)
    if "distinct_ids" in whole:
        try:
            whole["distinct_ids"] = msgspec.convert(whole["distinct_ids"], list[str])
        except msgspec.ValidationError as error:
            raise InvalidDefinition(f"distinct_ids: {error}") from error
        return whole
    _check_node(whole, depth=20)
    return whole


def save(number: int | None, definition: Mapping[str, Any]) -> Job[int]:
    """A job that saves a cohort and gives its number; a new one without a number."""

    def job(transaction: Transaction) -> int:
        connection = transaction.connection
        given = number
        if given is None:
            given = int(connection.execute("SELECT 1 + coalesce(max(id), 0) FROM cohorts").get or 1)
        connection.execute(
            "INSERT INTO cohorts (id, definition) VALUES (?,?)"
            " ON CONFLICT (id) DO UPDATE SET definition = excluded.definition",
            (given, msgspec.json.encode(definition).decode()),
        )
        return given

    return job


def delete(number: int) -> Job[bool]:
    """A job that deletes a cohort and says whether it was there."""

    def job(transaction: Transaction) -> bool:
        transaction.connection.execute("DELETE FROM cohorts WHERE id = ?", (number,))
        return transaction.connection.changes() > 0

    return job


def members(persons: PersonList, flags: FlagBook, number: int, limit: int = 50) -> list[str]:
    """The distinct ids of some of its members, the newest persons first."""
    listed = flags.cohorts[number].get("distinct_ids")
    if listed is not None:
        return list(listed[:limit])
    book, now = CohortBook(flags.cohorts), datetime.now(UTC)
    inside = (
        distinct_id
        for distinct_id, properties in persons.newest(COUNTED)
        if _contains(book, number, distinct_id, properties, now)
    )
    return list(itertools.islice(inside, limit))


def sizes(persons: PersonList, flags: FlagBook, numbers: Iterable[int]) -> dict[int, int]:
    """How many persons are in each of these cohorts; each person is read once for all of them."""
    asked = {number: flags.cohorts[number].get("distinct_ids") for number in numbers}
    counts = {number: 0 if listed is None else len(listed) for number, listed in asked.items()}
    dynamic = [number for number, listed in asked.items() if listed is None]
    book, now = CohortBook(flags.cohorts), datetime.now(UTC)
    for distinct_id, properties in persons.newest(COUNTED) if dynamic else ():
        for number in dynamic:
            counts[number] += _contains(book, number, distinct_id, properties, now)
    return counts


def _contains(
    book: CohortBook, number: int, distinct_id: str, properties: Mapping[str, Any], now: datetime
) -> bool:
    """Whether somebody is in it; nobody is in one that refers to what is not there."""
    try:
        return book.contains(number, distinct_id, properties, now)
    except MissingCohort:
        return False


def _check_node(node: Any, depth: int) -> None:
    if not isinstance(node, dict) or depth == 0:
        raise InvalidDefinition("a cohort is made of objects, nested at most 20 deep")
    if "values" not in node:
        try:
            msgspec.convert(node, PropertyFilter)
        except msgspec.ValidationError as error:
            raise InvalidDefinition(f"{node}: {error}") from error
        return
    if node.get("type") not in ("AND", "OR") or not isinstance(node["values"], list):
        raise InvalidDefinition(
            "a group of conditions has the type AND or OR, and a list of values"
        )
    for value in node["values"]:
        _check_node(value, depth - 1)

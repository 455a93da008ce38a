"""Cohorts: named sets of persons that flag conditions refer to.

Owns membership: recursive filters for dynamic cohorts, listed distinct ids for static ones. Pure
over the definitions; a reference that leads nowhere is `MissingCohort`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.flags import operators
from posthog_local.flags.definition import PropertyFilter

_MAX_DEPTH = 20


class MissingCohort(LookupError):
    """A condition names a cohort that does not exist or that refers to itself."""


class CohortBook:
    """The cohorts by id: `{"type": "AND"|"OR", "values": […]}`, or `{"distinct_ids": […]}`."""

    def __init__(self, cohorts: Mapping[int, Mapping[str, Any]]) -> None:
        self._cohorts = cohorts
        #: What dynamic cohorts mean, read when somebody is first asked about.
        self._read: dict[int, _Group | PropertyFilter] = {}

    def contains(
        self, cohort_id: object, distinct_id: str, properties: Mapping[str, Any], now: datetime
    ) -> bool:
        """Whether somebody belongs to the cohort now."""
        return self._contains(cohort_id, distinct_id, properties, now, _MAX_DEPTH)

    def _contains(
        self,
        cohort_id: object,
        distinct_id: str,
        properties: Mapping[str, Any],
        now: datetime,
        depth: int,
    ) -> bool:
        number = _cohort_number(cohort_id)
        cohort = self._cohorts.get(number)
        if cohort is None or depth == 0:
            raise MissingCohort(f"cohort {cohort_id!r} does not exist or refers to itself")
        if "distinct_ids" in cohort:
            return distinct_id in cohort["distinct_ids"]
        if number not in self._read:
            self._read[number] = _node(cohort)

        def holds(node: _Group | PropertyFilter) -> bool:
            if isinstance(node, _Group):
                results = [holds(part) for part in node.parts]
                return any(results) if node.any else all(results)
            if node.type == "cohort":
                inside = self._contains(node.value, distinct_id, properties, now, depth - 1)
                return (inside != (node.operator == "not_in")) != node.negation
            return operators.matches(node, properties, now) != node.negation

        return holds(self._read[number])


class _Group(msgspec.Struct, frozen=True):
    any: bool
    parts: tuple[_Group | PropertyFilter, ...]


def _node(node: Mapping[str, Any]) -> _Group | PropertyFilter:
    if "values" in node or not node:
        return _Group(node.get("type") == "OR", tuple(map(_node, node.get("values", ()))))
    return msgspec.convert(node, PropertyFilter)


def _cohort_number(cohort_id: object) -> int:
    try:
        return int(str(cohort_id))
    except ValueError:
        return -1

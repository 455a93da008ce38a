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
        cohort = self._cohorts.get(_cohort_number(cohort_id))
        if cohort is None or depth == 0:
            raise MissingCohort(f"cohort {cohort_id!r} does not exist or refers to itself")
        if "distinct_ids" in cohort:
            return distinct_id in cohort["distinct_ids"]

        def holds(node: Mapping[str, Any]) -> bool:
            if "values" in node or not node:
                results = [holds(value) for value in node.get("values", ())]
                return any(results) if node.get("type") == "OR" else all(results)
            line = msgspec.convert(node, PropertyFilter)
            if line.type == "cohort":
                inside = self._contains(line.value, distinct_id, properties, now, depth - 1)
                return (inside != (line.operator == "not_in")) != line.negation
            return operators.matches(line, properties, now) != line.negation

        return holds(cohort)


def _cohort_number(cohort_id: object) -> int:
    try:
        return int(str(cohort_id))
    except ValueError:
        return -1

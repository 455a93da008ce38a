"""Compiled flags, kept by the process.

Owns the step from stored rows to a closure and a bounded memory of both. Never reads the database.
One invariant: a closure is used only for the very rows that it was compiled from, known by their
hashes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import msgspec

from posthog_convex.component.functions.tables import CohortRow, FlagRow
from posthog_convex.flags import (
    Cohort,
    CompiledFlag,
    FlagDefinition,
    Reason,
    Surroundings,
    UnreadableDefinition,
    compile_flag,
    parse_cohort,
    parse_flag,
    undecided_flag,
)


@dataclass(slots=True)
class Rows:
    """A flag's row and the rows that it leads to."""

    key: str
    flags: dict[str, FlagRow]
    cohorts: dict[str, CohortRow]
    #: JSON text of the group types, when one of the flags is about groups.
    group_types: str = "{}"

    def identity(self) -> tuple[str, ...]:
        """What these rows are made of, in the order in which they were found."""
        flags = [row.hash for row in self.flags.values()]
        cohorts = [row.hash for row in self.cohorts.values()]
        return (self.key, self.group_types, *flags, *cohorts)


class CompiledFlags:
    """The flags compiled last, at most `bound` of them."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._known: OrderedDict[tuple[str, ...], CompiledFlag] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, rows: Rows) -> CompiledFlag:
        """The flag of these rows, compiled once."""
        identity = rows.identity()
        flag = self._known.get(identity)
        if flag is not None:
            self._known.move_to_end(identity)
            return flag
        flag = self._known[identity] = _compile(rows)
        if len(self._known) > self._bound:
            self._known.popitem(last=False)
        return flag


def _compile(rows: Rows) -> CompiledFlag:
    row = rows.flags[rows.key]
    if not row.definition:
        return undecided_flag(
            rows.key, Reason.UNSUPPORTED_DEFINITION, "its definition is too large to be kept here"
        )
    flags: dict[str, FlagDefinition] = {}
    for key, each in rows.flags.items():
        try:
            flags[key] = parse_flag(each.definition)
        except UnreadableDefinition as error:
            if key == rows.key:
                detail = f"its definition can't be read: {error}"
                return undecided_flag(key, Reason.UNSUPPORTED_DEFINITION, detail)
    around = Surroundings(
        flags,
        _readable_cohorts(rows),
        msgspec.json.decode(rows.group_types, type=dict[str, str]),
        row.matching_version,
    )
    return compile_flag(flags[rows.key], around)


def _readable_cohorts(rows: Rows) -> dict[str, Cohort]:
    cohorts: dict[str, Cohort] = {}
    for id_, row in rows.cohorts.items():
        try:
            cohorts[id_] = parse_cohort(row.definition)
        except UnreadableDefinition:
            continue
    return cohorts

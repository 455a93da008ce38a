"""Checks of a condition or cohort joined into one.

Owns the three-valued AND and OR, negation, and the checks that lead to other definitions:
membership of a cohort, the value of another flag. Never hashes. One invariant: a join is unknown
only when what is unknown in it could turn it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from posthog_convex.flags.definitions import Cohort, PropertyFilter, cohort_id
from posthog_convex.flags.match import Matcher, compile_property, unsupported
from posthog_convex.flags.verdict import (
    Call,
    Properties,
    Reason,
    State,
    Ternary,
    Unknown,
    Verdict,
    stronger,
)

#: Evaluates one flag for one call.
Run = Callable[[Call], Verdict]

_COHORT_OPERATORS = {None: False, "": False, "exact": False, "in": False, "not_in": True}


class Lookup(Protocol):
    """Where definitions that others refer to come from."""

    @property
    def matching_version(self) -> int:
        """How filters of true and false compare."""

    def cohort(self, id_: str) -> Matcher | Unknown:
        """The matcher of a cohort, or why there is none here."""

    def flag(self, name: str) -> Run | Unknown:
        """The evaluation of a flag by key or id, or why there is none here."""


def all_of(filters: Sequence[PropertyFilter], lookup: Lookup) -> Matcher | None:
    """The matcher of a condition's properties; None when there are none and it always matches."""
    if not filters:
        return None
    return _join([_constant(_filter(each, lookup)) for each in filters], decisive=False)


def cohort_matcher(cohort: Cohort, lookup: Lookup) -> Matcher | Unknown:
    """The matcher of a cohort's property group."""
    if not cohort.values:
        # An empty OR is read as true by some and as false by others.
        return _ALWAYS if cohort.type == "AND" else unsupported("a cohort has an empty OR group")
    members: list[Matcher] = []
    for each in cohort.values:
        if isinstance(each, Cohort):
            members.append(_constant(cohort_matcher(each, lookup)))
        else:
            member = _constant(_filter(each, lookup))
            members.append(_negated(member) if each.negation else member)
    return _join(members, decisive=cohort.type == "OR")


def _filter(filter_: PropertyFilter, lookup: Lookup) -> Matcher | Unknown:
    if filter_.type == "cohort":
        return _membership(filter_, lookup)
    if filter_.type == "flag":
        return _dependency(filter_, lookup)
    return compile_property(filter_, lookup.matching_version)


def _membership(filter_: PropertyFilter, lookup: Lookup) -> Matcher | Unknown:
    if filter_.operator not in _COHORT_OPERATORS:
        return unsupported(f"unknown cohort operator {filter_.operator!r}")
    member = lookup.cohort(cohort_id(filter_))
    if isinstance(member, Unknown):
        return member
    return _negated(member) if _COHORT_OPERATORS[filter_.operator] else member


def _dependency(filter_: PropertyFilter, lookup: Lookup) -> Matcher | Unknown:
    name, wanted = filter_.key, filter_.value
    if filter_.operator != "flag_evaluates_to" or name in (None, "") or wanted is None:
        # The server calls a malformed dependency no match, not an error.
        return _NEVER
    if not filter_.dependency_chain:
        return unsupported(f"flag {name!r} depends on itself, or its order is not given")
    run = lookup.flag(str(name))
    if isinstance(run, Unknown):
        return run

    def match(properties: Properties, call: Call) -> Ternary:
        verdict = run(call)
        if verdict.state is State.NO_VERDICT:
            return Unknown(Reason.UNRESOLVED_DEPENDENCY, f"flag {name!r}: {verdict.detail}")
        if isinstance(wanted, bool):
            return (verdict.state is State.MATCH) is wanted
        return verdict.value == wanted if isinstance(wanted, str) else False

    return match


def _join(members: Sequence[Matcher], *, decisive: bool) -> Matcher:
    """AND when False is decisive, OR when True is."""
    if len(members) == 1:
        return members[0]

    def match(properties: Properties, call: Call) -> Ternary:
        unknown: Unknown | None = None
        for member in members:
            outcome = member(properties, call)
            if outcome is decisive:
                return decisive
            if isinstance(outcome, Unknown):
                unknown = stronger(unknown, outcome)
        return (not decisive) if unknown is None else unknown

    return match


def _negated(member: Matcher) -> Matcher:
    def match(properties: Properties, call: Call) -> Ternary:
        outcome = member(properties, call)
        return outcome if isinstance(outcome, Unknown) else not outcome

    return match


def _constant(member: Matcher | Unknown) -> Matcher:
    if not isinstance(member, Unknown):
        return member
    unknown = member
    return lambda properties, call: unknown


def _always(properties: Properties, call: Call) -> Ternary:
    return True


def _never(properties: Properties, call: Call) -> Ternary:
    return False


_ALWAYS: Matcher = _always
_NEVER: Matcher = _never

"""Flag definitions to closures.

Owns the walk from a definition to what it refers to, and the choice of how it is evaluated. Never
parses, hashes or reads a clock. One invariant: compiling never fails; what can't be evaluated here
compiles to an evaluation that says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from posthog_convex.flags.conditions import Run, cohort_matcher
from posthog_convex.flags.definitions import Cohort, Filters, FlagDefinition
from posthog_convex.flags.evaluation import Outcomes, conditions_run, enrolment_run, subject_of
from posthog_convex.flags.match import DATE_OPERATORS, Matcher, unsupported
from posthog_convex.flags.verdict import (
    OFF,
    Call,
    Json,
    Properties,
    Reason,
    Unknown,
    Verdict,
    no_verdict,
)


class Surroundings(Struct, frozen=True):
    """The definitions around a flag; only what it refers to, directly or not, is looked at."""

    flags: Mapping[str, FlagDefinition] = {}
    cohorts: Mapping[str, Cohort] = {}
    group_types: Mapping[str, str] = {}
    #: See `DefinitionSet.matching_version`.
    matching_version: int = 1


class CompiledFlag(Struct, frozen=True):
    """A flag that can be asked, as often as needed and from any thread."""

    key: str
    #: Evaluates for a call; flags compiled from the same definitions may share the call.
    run: Run
    #: Whether the answer depends on the time; if not, `now_ms` may be anything.
    uses_now: bool
    payloads: Mapping[str, Json]
    #: PostHog's id and version of the definition.
    id: int | None = None
    version: int | None = None

    def evaluate(
        self,
        distinct_id: str,
        person_properties: Properties,
        groups: Mapping[str, str],
        group_properties: Mapping[str, Properties],
        now_ms: float,
    ) -> Verdict:
        """The verdict for one caller; properties are JSON values, groups name keys by type."""
        return self.run(Call(distinct_id, person_properties, groups, group_properties, now_ms, {}))

    def payload_of(self, value: bool | str) -> Json:
        """The decoded payload of True or of a variant, or None."""
        return self.payloads.get("true" if value is True else str(value))


def compile_flag(flag: FlagDefinition, around: Surroundings) -> CompiledFlag:
    """Compile a flag.

    >>> from posthog_convex.flags import parse_flag
    >>> flag = parse_flag('{"key": "beta", "active": true, "filters": {"groups": [{}]}}')
    >>> compile_flag(flag, Surroundings()).evaluate("user-1", {}, {}, {}, 0.0).value
    True
    """
    session = _Session(around)
    outcomes = Outcomes.of(flag)
    run = session.compile(flag)
    return CompiledFlag(flag.key, run, session.uses_now, outcomes.payloads, flag.id, flag.version)


def undecided_flag(key: str, reason: Reason, detail: str) -> CompiledFlag:
    """A flag that has no definition to compile, and why."""
    return CompiledFlag(key, _undecided(Unknown(reason, detail)), False, {})


class _Session:
    """One compilation: each definition is compiled once, and a cycle is noticed."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        #: None while a definition is being compiled: who meets it then has found a cycle.
        self._runs: dict[str, Run | None] = {}
        self._members: dict[str, Matcher | Unknown | None] = {}
        self.uses_now = False

    @property
    def matching_version(self) -> int:
        return self._around.matching_version

    def compile(self, flag: FlagDefinition) -> Run:
        self._runs[flag.key] = None
        self._runs[flag.key] = run = self._run(flag)
        return run

    def cohort(self, id_: str) -> Matcher | Unknown:
        if id_ in self._members:
            return self._members[id_] or unsupported(f"cohort {id_} refers to itself")
        cohort = self._around.cohorts.get(id_)
        if cohort is None:
            return unsupported(f"cohort {id_} is not among the definitions: it may be static")
        self._members[id_] = None
        self._note_dates(cohort)
        self._members[id_] = member = cohort_matcher(cohort, self)
        return member

    def flag(self, name: str) -> Run | Unknown:
        flag = self._around.flags.get(name) or next(
            (each for each in self._around.flags.values() if str(each.id) == name), None
        )
        if flag is None:
            return unsupported(f"flag {name!r} is not among the definitions, or can't be read")
        if flag.key not in self._runs:
            return _remembered(flag.key, self.compile(flag))
        run = self._runs[flag.key]
        return _remembered(flag.key, run) if run else unsupported(f"flag {name!r} needs itself")

    def _run(self, flag: FlagDefinition) -> Run:
        filters = flag.filters or Filters()
        if not flag.active or flag.deleted:
            return lambda call: OFF
        if flag.ensure_experience_continuity:
            return _undecided(Unknown(Reason.EXPERIENCE_CONTINUITY, _CONTINUITY))
        subject = subject_of(flag, filters, self._around.group_types)
        if isinstance(subject, Unknown):
            return _undecided(subject)
        if filters.feature_enrollment or filters.super_groups:
            return enrolment_run(flag, filters)
        for condition in filters.groups or []:
            self._note_dates(condition)
        return conditions_run(flag, filters, subject, self._around.group_types, self)

    def _note_dates(self, holder: Struct) -> None:
        self.uses_now = self.uses_now or _names_a_date(holder)


_CONTINUITY = "the flag keeps its value across logins, which the server alone remembers"


def _names_a_date(holder: object) -> bool:
    children = getattr(holder, "properties", None) or getattr(holder, "values", None) or []
    return getattr(holder, "operator", None) in DATE_OPERATORS or any(
        _names_a_date(child) for child in children
    )


def _undecided(unknown: Unknown) -> Run:
    verdict = no_verdict(unknown)
    return lambda call: verdict


def _remembered(key: str, run: Run) -> Run:
    """The same evaluation, done once a call however many flags depend on it."""

    def once(call: Call) -> Verdict:
        verdict = call.known.get(key)
        if verdict is None:
            verdict = call.known[key] = run(call)
        return verdict

    return once

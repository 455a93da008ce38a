"""What every flag is for somebody, and why: PostHog's evaluation order on the server.

Owns the order: dependencies, early access, holdout, conditions, variant, payload. Pure over a
`Subject`, the definitions and the current time. A flag that cannot be evaluated is `failed` and
off; it never takes another one with it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from posthog_local.flags import bucket, operators
from posthog_local.flags.cohorts import CohortBook, MissingCohort
from posthog_local.flags.definition import Condition, FlagDefinition, PropertyFilter

FlagValue = bool | str


class ReasonCode(enum.Enum):
    """PostHog's reason codes."""

    MATCH = "condition_match"
    NO_MATCH = "no_condition_match"
    OUT_OF_ROLLOUT = "out_of_rollout_bound"
    NO_GROUP = "no_group_type"
    SUPER = "super_condition_value"
    HOLDOUT = "holdout_condition_value"
    DISABLED = "flag_disabled"
    MISSING_DEPENDENCY = "missing_dependency"


# When several condition sets fail, the reason with the highest rank is the one reported.
_RANK = {ReasonCode.OUT_OF_ROLLOUT: 3, ReasonCode.NO_MATCH: 2, ReasonCode.NO_GROUP: 1}
_TEXTS = {
    ReasonCode.NO_MATCH: "No matching condition set",
    ReasonCode.OUT_OF_ROLLOUT: "Out of rollout bound",
    ReasonCode.NO_GROUP: "No group type",
    ReasonCode.SUPER: "Super condition value",
    ReasonCode.HOLDOUT: "Holdout condition value",
    ReasonCode.DISABLED: "Feature flag is disabled",
    ReasonCode.MISSING_DEPENDENCY: "Flag depends on a flag that is missing or refers back to it",
}


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom flags are evaluated for; group facts are keyed by group type name."""

    distinct_id: str
    person_properties: Mapping[str, Any]
    device_id: str | None = None
    group_keys: Mapping[str, str] = {}
    group_properties: Mapping[str, Mapping[str, Any]] = {}
    # Flag key -> what to bucket by instead of the distinct id (experience continuity).
    hash_keys: Mapping[str, str] = {}


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One flag's value with its reason; `condition_index` counts from 0."""

    flag: FlagDefinition
    value: FlagValue
    code: ReasonCode
    condition_index: int | None = None
    failed: bool = False

    @property
    def description(self) -> str:
        """The reason in PostHog's words."""
        if self.code is ReasonCode.MATCH:
            return f"Matched condition set {(self.condition_index or 0) + 1}"
        return _TEXTS[self.code]

    @property
    def payload(self) -> Any:
        """The payload configured for this value, as it was saved; None without one."""
        if self.value is False:
            return None
        payloads = self.flag.filters.payloads or {}
        return payloads.get("true" if self.value is True else self.value)


class _Broken(Exception):
    """This flag cannot be evaluated: a missing cohort or an unknown operator."""


class Evaluator:
    """Evaluates flags for one subject; asks each flag at most once."""

    def __init__(
        self,
        flags: Mapping[str, FlagDefinition],
        cohorts: CohortBook,
        group_types: Mapping[int, str],
        subject: Subject,
        now: datetime,
    ) -> None:
        self._flags = flags
        self._cohorts = cohorts
        self._group_types = group_types
        self._subject = subject
        self._now = now
        self._person = {"distinct_id": subject.distinct_id, **subject.person_properties}
        # None while the flag is being evaluated: meeting it then means that it refers to itself.
        self._done: dict[str, Evaluation | None] = {}

    def evaluate(self, keys: Iterable[str] | None = None) -> list[Evaluation]:
        """The wanted flags (all without `keys`), leaving out inactive and unknown ones."""
        wanted = self._flags if keys is None else [key for key in keys if key in self._flags]
        active = [key for key in wanted if self._flags[key].active]
        return [self._flag(key) for key in active]

    def _flag(self, key: str) -> Evaluation:
        known = self._done.get(key)
        if known is not None:
            return known
        flag = self._flags[key]
        self._done[key] = None
        try:
            result = self._evaluate(flag)
        except (_Broken, MissingCohort, operators.UnknownOperator):
            result = Evaluation(flag=flag, value=False, code=ReasonCode.NO_MATCH, failed=True)
        self._done[key] = result
        return result

    def _evaluate(self, flag: FlagDefinition) -> Evaluation:
        if not flag.active:
            return Evaluation(flag=flag, value=False, code=ReasonCode.DISABLED)
        if not self._dependencies_hold(flag):
            return Evaluation(flag=flag, value=False, code=ReasonCode.MISSING_DEPENDENCY)
        if (early := self._early_access(flag)) is not None:
            return Evaluation(flag=flag, value=early, code=ReasonCode.SUPER)
        if (holdout := self._holdout(flag)) is not None:
            return Evaluation(flag=flag, value=holdout, code=ReasonCode.HOLDOUT)
        return self._conditions(flag)

    def _dependencies_hold(self, flag: FlagDefinition) -> bool:
        for line in _lines(flag):
            if line.type != "flag":
                continue
            other = self._find(line)
            if other is None or other.key == flag.key:
                return False
            if other.key in self._done and self._done[other.key] is None:
                return False
            if self._flag(other.key).code is ReasonCode.MISSING_DEPENDENCY:
                return False
        return True

    def _early_access(self, flag: FlagDefinition) -> bool | None:
        name = f"$feature_enrollment/{flag.key}"
        if not flag.filters.super_groups or name not in self._person:
            return None
        return str(self._person[name]).lower() == "true"

    def _holdout(self, flag: FlagDefinition) -> str | None:
        holdout = flag.filters.holdout
        if holdout is None:
            return None
        index = flag.filters.aggregation_group_type_index
        value = self._person_bucket(flag) if index is None else self._group_key(index)
        if value is None or not bucket.is_held_out(value, holdout.exclusion_percentage):
            return None
        return f"holdout-{holdout.id}"

    def _conditions(self, flag: FlagDefinition) -> Evaluation:
        worst = ReasonCode.NO_GROUP if flag.filters.groups else ReasonCode.NO_MATCH
        for index, condition in enumerate(flag.filters.groups):
            code, bucketing_value = self._condition(flag, condition)
            if code is ReasonCode.MATCH:
                value = self._variant(flag, condition, bucketing_value)
                return Evaluation(flag=flag, value=value, code=code, condition_index=index)
            if _RANK[code] > _RANK[worst]:
                worst = code
            if code is ReasonCode.OUT_OF_ROLLOUT and flag.filters.early_exit:
                break
        return Evaluation(flag=flag, value=False, code=worst)

    def _condition(self, flag: FlagDefinition, condition: Condition) -> tuple[ReasonCode, str]:
        index = condition.aggregation_group_type_index
        if index is None:
            index = flag.filters.aggregation_group_type_index
        if index is None:
            bucketing_value: str | None = self._person_bucket(flag)
        else:
            bucketing_value = self._group_key(index)
        if bucketing_value is None:
            return ReasonCode.NO_GROUP, ""
        if not all(self._line(line, index) for line in condition.properties or ()):
            return ReasonCode.NO_MATCH, ""
        percentage = condition.rollout_percentage
        if percentage is not None and not bucket.is_rolled_out(
            flag.key, bucketing_value, percentage
        ):
            return ReasonCode.OUT_OF_ROLLOUT, ""
        return ReasonCode.MATCH, bucketing_value

    def _line(self, line: PropertyFilter, group_index: int | None) -> bool:
        match line.type:
            case "cohort":
                inside = self._cohorts.contains(
                    line.value, self._subject.distinct_id, self._person, self._now
                )
                return inside != (line.operator == "not_in")
            case "flag":
                return self._flag_line(line)
            case "group":
                index = line.group_type_index if line.group_type_index is not None else group_index
                properties = {} if index is None else self._group_facts(index)
                return operators.matches(line, properties, self._now)
            case _:
                return operators.matches(line, self._person, self._now)

    def _flag_line(self, line: PropertyFilter) -> bool:
        other = self._find(line)
        if other is None:
            return False
        value = self._flag(other.key).value
        if isinstance(line.value, bool):
            return (value is not False) == line.value
        return bool(value == line.value)

    def _variant(
        self, flag: FlagDefinition, condition: Condition, bucketing_value: str
    ) -> FlagValue:
        variants = flag.variants
        if condition.variant is not None and condition.variant in dict(variants):
            return condition.variant
        return bucket.pick_variant(flag.key, bucketing_value, variants) or True

    def _person_bucket(self, flag: FlagDefinition) -> str:
        if flag.bucketing_identifier == "device_id" and self._subject.device_id:
            return self._subject.device_id
        return self._subject.hash_keys.get(flag.key, self._subject.distinct_id)

    def _group_key(self, index: int) -> str | None:
        name = self._group_types.get(index)
        return None if name is None else self._subject.group_keys.get(name)

    def _group_facts(self, index: int) -> Mapping[str, Any]:
        name = self._group_types.get(index, "")
        facts = dict(self._subject.group_properties.get(name, {}))
        if (key := self._subject.group_keys.get(name)) is not None:
            facts["$group_key"] = key
        return facts

    def _find(self, line: PropertyFilter) -> FlagDefinition | None:
        key = str(line.key)
        if key in self._flags:
            return self._flags[key]
        return next((flag for flag in self._flags.values() if str(flag.id) == key), None)


def _lines(flag: FlagDefinition) -> Iterable[PropertyFilter]:
    for condition in flag.filters.groups:
        yield from condition.properties or ()

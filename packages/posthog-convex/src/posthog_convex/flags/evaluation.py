"""The order in which a flag decides: holdout, conditions, rollout, variant.

Owns that order and who the flag is about. Never looks up other definitions. One invariant: every
way in which the unknown could turn out leads to the verdict that is given; where ways part, there
is no verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

from msgspec import Struct

from posthog_convex.flags.bucket import holdout_hash, rollout_hasher, variant_picker
from posthog_convex.flags.conditions import Lookup, Run, all_of
from posthog_convex.flags.definitions import Condition, Filters, FlagDefinition, Variant
from posthog_convex.flags.match import Matcher, unsupported
from posthog_convex.flags.verdict import (
    OFF,
    Call,
    Json,
    Properties,
    Reason,
    State,
    Unknown,
    Verdict,
    no_verdict,
    stronger,
)


class Subject(NamedTuple):
    """Whom a flag or condition is about: what is hashed, and what is matched."""

    bucket: str
    properties: Properties


#: Finds the subject of a call, or the verdict that its absence makes.
FindSubject = Callable[[Call], Subject | Verdict]


class Outcomes(Struct, frozen=True):
    """The verdicts that a flag can give, made once."""

    on: Verdict
    variants: Mapping[str, Verdict]
    payloads: Mapping[str, Json]

    @classmethod
    def of(cls, flag: FlagDefinition) -> Self:
        """The outcomes of a flag, payloads decoded."""
        filters = flag.filters or Filters()
        payloads = {key: _decoded(raw) for key, raw in (filters.payloads or {}).items()}
        variants = {
            each.key: Verdict(State.MATCH, each.key, payloads.get(each.key))
            for each in _variants(filters)
            if each.key
        }
        return cls(Verdict(State.MATCH, True, payloads.get("true")), variants, payloads)


class _Rule(NamedTuple):
    """A condition set, ready to run."""

    #: None matches always.
    matches: Matcher | None
    #: The share of ids let in, in [0, 1]; None lets all in.
    rollout: float | None
    #: The verdict whatever the variant's hash says.
    override: Verdict | None
    #: Set when this condition is about another subject than its flag.
    subject: FindSubject | None


def subject_of(
    flag: FlagDefinition, filters: Filters, group_types: Mapping[str, str]
) -> FindSubject | Unknown:
    """Whom a flag is about: the person, their device, or one of their groups."""
    index = filters.aggregation_group_type_index
    if index is not None:
        group_type = group_types.get(str(index))
        if not group_type:
            return unsupported(f"group type {index} is not among the definitions")
        return _group_subject(group_type)
    if (flag.bucketing_identifier or filters.bucketing_identifier) == "device_id":
        return _device_subject
    return _person_subject


def enrolment_run(flag: FlagDefinition, filters: Filters) -> Run:
    """A flag for early access: what the person chose decides, and the server knows it otherwise."""
    key = f"$feature_enrollment/{flag.key}"
    on = Outcomes.of(flag).on
    missing = no_verdict(Unknown(Reason.MISSING_CONTEXT, f"property {key!r} was not passed"))
    if filters.aggregation_group_type_index is not None:
        missing = no_verdict(unsupported("a group flag reads a person's enrolment"))
        return lambda call: missing

    def run(call: Call) -> Verdict:
        if key not in call.person_properties:
            return missing
        choice = call.person_properties[key]
        return on if choice is True or choice == "true" else OFF

    return run


def conditions_run(
    flag: FlagDefinition,
    filters: Filters,
    find_subject: FindSubject,
    group_types: Mapping[str, str],
    lookup: Lookup,
) -> Run:
    """A flag that its holdout and conditions decide."""
    outcomes = Outcomes.of(flag)
    rules = [
        _rule(condition, filters, outcomes, group_types, lookup)
        for condition in filters.groups or []
    ]
    decide = _decision(flag, filters, outcomes, rules)
    held = _holdout(filters, outcomes)
    if find_subject is _person_subject and held is None:
        return lambda call: decide(call, call.distinct_id, call.person_properties)

    def run(call: Call) -> Verdict:
        subject = find_subject(call)
        if isinstance(subject, Verdict):
            return subject
        if held is not None:
            verdict = held(subject.bucket)
            if verdict is not None:
                return verdict
        return decide(call, subject.bucket, subject.properties)

    return run


def _decision(
    flag: FlagDefinition, filters: Filters, outcomes: Outcomes, rules: Sequence[_Rule]
) -> Callable[[Call, str, Properties], Verdict]:
    place, result_of = rollout_hasher(flag.key), _variant_result(flag, filters, outcomes)
    early_exit = bool(filters.early_exit)

    def decide(call: Call, bucket: str, properties: Properties) -> Verdict:
        pending: list[tuple[Verdict, Unknown]] | None = None
        for matches, rollout, override, find_other in rules:
            if find_other is not None:
                other = find_other(call)
                if isinstance(other, Verdict):
                    continue
                bucket_here, properties_here = other
            else:
                bucket_here, properties_here = bucket, properties
            outcome = True if matches is None else matches(properties_here, call)
            if outcome is False:
                continue
            if rollout is not None and place(bucket_here) > rollout:
                # Out of the rollout: no match, however the unknown turns out.
                if not early_exit:
                    continue
                result = OFF
            else:
                result = override or result_of(bucket_here)
            if outcome is True:
                return _settled(result, pending) if pending else result
            assert isinstance(outcome, Unknown)
            pending = [*(pending or ()), (result, outcome)]
        return _settled(OFF, pending) if pending else OFF

    return decide


def _settled(result: Verdict, pending: Sequence[tuple[Verdict, Unknown]]) -> Verdict:
    """The result, if no condition that was undecided before it could have given another."""
    unknown: Unknown | None = None
    for possible, why in pending:
        if possible is not result:
            unknown = stronger(unknown, why)
    return result if unknown is None else no_verdict(unknown)


def _rule(
    condition: Condition,
    filters: Filters,
    outcomes: Outcomes,
    group_types: Mapping[str, str],
    lookup: Lookup,
) -> _Rule:
    percentage, index = condition.rollout_percentage, condition.aggregation_group_type_index
    subject: FindSubject | None = None
    if isinstance(index, int) and index != filters.aggregation_group_type_index:
        subject = _group_subject(group_types.get(str(index)) or "")
    return _Rule(
        matches=all_of(condition.properties or [], lookup),
        rollout=None if percentage is None or percentage >= 100 else percentage / 100,
        override=outcomes.variants.get(condition.variant or ""),
        subject=subject,
    )


def _variant_result(
    flag: FlagDefinition, filters: Filters, outcomes: Outcomes
) -> Callable[[str], Verdict]:
    variants = _variants(filters)
    if not variants:
        return lambda bucket: outcomes.on
    pick = variant_picker(flag.key, [each.rollout_percentage for each in variants])
    results = [outcomes.variants.get(each.key, outcomes.on) for each in variants] + [outcomes.on]
    return lambda bucket: results[pick(bucket)]


def _holdout(filters: Filters, outcomes: Outcomes) -> Callable[[str], Verdict | None] | None:
    holdout = filters.holdout
    if holdout is None or holdout.id is None or holdout.exclusion_percentage is None:
        return None
    value = f"holdout-{holdout.id}"
    verdict = Verdict(State.MATCH, value, outcomes.payloads.get(value))
    share = min(max(holdout.exclusion_percentage, 0), 100) / 100
    if share == 1:
        return lambda bucket: verdict
    return lambda bucket: None if holdout_hash(bucket) > share else verdict


def _person_subject(call: Call) -> Subject | Verdict:
    return Subject(call.distinct_id, call.person_properties)


_NO_DEVICE = no_verdict(
    Unknown(Reason.MISSING_CONTEXT, "the flag buckets by device: pass person property $device_id")
)


def _device_subject(call: Call) -> Subject | Verdict:
    device = call.person_properties.get("$device_id")
    if not device or not isinstance(device, str):
        return _NO_DEVICE
    return Subject(device, call.person_properties)


def _group_subject(group_type: str) -> FindSubject:
    def find(call: Call) -> Subject | Verdict:
        key = call.groups.get(group_type)
        if key is None:
            return OFF
        passed = call.group_properties.get(group_type) or {}
        return Subject(key, {"$group_key": key, **passed})

    return find


def _variants(filters: Filters) -> list[Variant]:
    return (filters.multivariate.variants if filters.multivariate else None) or []


def _decoded(payload: Json) -> Json:
    """A payload is JSON text on the wire; what isn't JSON stays text."""
    if not isinstance(payload, str):
        return payload
    try:
        return json.loads(payload)
    except ValueError:
        return payload

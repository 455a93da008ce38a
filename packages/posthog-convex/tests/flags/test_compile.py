"""Order of evaluation, certainty, and what a flag refers to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthog_convex.flags import (
    Reason,
    State,
    Surroundings,
    UnreadableDefinition,
    Verdict,
    compile_flag,
    parse_cohort,
    parse_definitions,
    parse_flag,
    references_of_cohort,
    references_of_flag,
)

ON = [{"properties": [], "rollout_percentage": 100}]
PLAN = {"key": "plan", "type": "person", "operator": "exact", "value": "pro"}
ENROLLED = "$feature_enrollment/f"
AB = {"variants": [{"key": "a", "rollout_percentage": 0}, {"key": "b", "rollout_percentage": 100}]}


def flag(key: str = "f", **filters: Any) -> dict[str, Any]:
    top = {
        k: filters.pop(k) for k in ("active", "ensure_experience_continuity", "id") & filters.keys()
    }
    return {"key": key, "active": True, **top, "filters": {"groups": ON, **filters}}


def evaluate(
    *flags: dict[str, Any],
    cohorts: dict[str, Any] | None = None,
    person: dict[str, Any] | None = None,
    groups: dict[str, str] | None = None,
) -> Verdict:
    around = Surroundings(
        {each["key"]: parse_flag(json.dumps(each)) for each in flags},
        {key: parse_cohort(json.dumps(each)) for key, each in (cohorts or {}).items()},
        {"0": "company"},
    )
    compiled = compile_flag(around.flags[flags[0]["key"]], around)
    return compiled.evaluate("user-1", person or {}, groups or {}, {}, 0.0)


def test_payload_belongs_to_the_value() -> None:
    payloads = {"true": '{"n": 1}', "b": "[1]"}
    assert evaluate(flag(payloads=payloads)).payload == {"n": 1}
    assert evaluate(flag(payloads=payloads, multivariate=AB)).payload == [1]
    assert evaluate(flag(payloads=payloads, active=False)) == Verdict(State.OFF, False)


def test_continuity_is_never_decided_here_unless_the_flag_is_off() -> None:
    verdict = evaluate(flag(ensure_experience_continuity=True))
    assert verdict.reason is Reason.EXPERIENCE_CONTINUITY
    assert evaluate(flag(ensure_experience_continuity=True, active=False)).state is State.OFF


def test_a_later_match_counts_if_no_undecided_one_before_it_could_differ() -> None:
    first = {"properties": [PLAN], "rollout_percentage": None}
    assert evaluate(flag(groups=[first, *ON])).value is True
    assert evaluate(flag(groups=[{**first, "variant": "b"}, *ON], multivariate=AB)).value == "b"
    undecided = evaluate(flag(groups=[{**first, "variant": "a"}, *ON], multivariate=AB))
    assert undecided.state is State.NO_VERDICT
    assert undecided.detail == "property 'plan' was not passed"


def test_a_condition_out_of_its_rollout_needs_no_properties() -> None:
    out = {"properties": [PLAN], "rollout_percentage": 0}
    assert evaluate(flag(groups=[out])).state is State.OFF
    assert evaluate(flag(groups=[out, *ON])).value is True
    assert evaluate(flag(groups=[out, *ON], early_exit=True)).state is State.NO_VERDICT
    assert evaluate(flag(groups=[out, *ON], early_exit=True), person={"plan": "x"}).value is True
    assert evaluate(flag(groups=[out, *ON], early_exit=True), person={"plan": "pro"}) == Verdict(
        State.OFF, False
    )


def test_holdout_comes_before_conditions() -> None:
    held = flag(holdout={"id": 3, "exclusion_percentage": 100}, groups=[], payloads={"true": "1"})
    assert evaluate(held).value == "holdout-3"
    assert evaluate(flag(holdout={"id": 3, "exclusion_percentage": 0})).value is True


def test_groups() -> None:
    about = {"key": "$group_key", "type": "group", "operator": "exact", "value": "acme"}
    grouped = flag(groups=[{"properties": [about]}], aggregation_group_type_index=0)
    assert evaluate(grouped, groups={"company": "acme"}).value is True
    assert evaluate(grouped, groups={"company": "other"}).state is State.OFF
    assert evaluate(grouped).state is State.OFF
    unknown = flag(aggregation_group_type_index=4)
    assert evaluate(unknown).reason is Reason.UNSUPPORTED_DEFINITION


@pytest.mark.parametrize("within_filters", [True, False])
def test_a_flag_of_devices_is_decided_by_the_device(within_filters: bool) -> None:
    halves = [{"properties": [], "rollout_percentage": 50}]
    of_devices = flag(groups=halves)
    place = of_devices["filters"] if within_filters else of_devices
    place["bucketing_identifier"] = "device_id"
    devices = [f"device-{n}" for n in range(40)]
    by_device = [evaluate(of_devices, person={"$device_id": device}).value for device in devices]
    assert set(by_device) == {True, False}, "all are one person's"
    for unknown in ({}, {"$device_id": ""}, {"$device_id": 7}):
        verdict = evaluate(of_devices, person=unknown)
        assert verdict.state is State.NO_VERDICT
        assert verdict.reason is Reason.MISSING_CONTEXT
        assert "$device_id" in (verdict.detail or "")


def test_early_access_is_as_the_person_has_chosen() -> None:
    early = flag(feature_enrollment=True, groups=[], payloads={"true": "1"})
    chosen = {choice: evaluate(early, person={ENROLLED: choice}) for choice in (True, "true")}
    assert [each.payload for each in chosen.values()] == [1, 1]
    for refused in (False, "false", None, 1, "yes"):
        assert evaluate(early, person={ENROLLED: refused}).state is State.OFF
    unknown = evaluate(early)
    assert unknown.state is State.NO_VERDICT
    assert ENROLLED in (unknown.detail or "")
    grouped = flag(feature_enrollment=True, aggregation_group_type_index=0)
    verdict = evaluate(grouped, person={ENROLLED: True}, groups={"company": "acme"})
    assert verdict.reason is Reason.UNSUPPORTED_DEFINITION


def test_the_distinct_id_is_a_person_property() -> None:
    is_me = {"key": "distinct_id", "operator": "exact", "value": "user-1"}
    assert evaluate(flag(groups=[{"properties": [is_me]}])).value is True
    assert evaluate(flag(groups=[{"properties": [{**is_me, "operator": "is_set"}]}])).value is True
    other = {"distinct_id": "other"}
    assert evaluate(flag(groups=[{"properties": [is_me]}]), person=other).state is State.OFF
    grouped = flag(groups=[{"properties": [is_me]}], aggregation_group_type_index=0)
    assert evaluate(grouped, groups={"company": "acme"}).state is State.NO_VERDICT


def depends_on(key: str, value: Any = True, chain: list[str] | None = None) -> dict[str, Any]:
    needs = {
        "key": key,
        "type": "flag",
        "operator": "flag_evaluates_to",
        "value": value,
        "dependency_chain": [key] if chain is None else chain,
    }
    return {"groups": [{"properties": [needs], "rollout_percentage": 100}]}


def test_dependencies_by_key_and_id() -> None:
    assert evaluate(flag(**depends_on("g")), flag("g")).value is True
    assert evaluate(flag(**depends_on("7")), flag("g", id=7)).value is True
    assert evaluate(flag(**depends_on("g", "b")), flag("g", multivariate=AB)).value is True
    assert evaluate(flag(**depends_on("g", False)), flag("g", active=False)).value is True
    undecided = evaluate(flag(**depends_on("g")), flag("g", ensure_experience_continuity=True))
    assert undecided.reason is Reason.UNRESOLVED_DEPENDENCY
    assert evaluate(flag(**depends_on("gone"))).reason is Reason.UNSUPPORTED_DEFINITION


def test_cycles_end_without_a_verdict() -> None:
    assert evaluate(flag(**depends_on("f"))).state is State.NO_VERDICT
    two = evaluate(flag(**depends_on("g")), flag("g", **depends_on("f")))
    assert two.state is State.NO_VERDICT
    itself = {"type": "AND", "values": [{"type": "cohort", "key": "id", "value": 1}]}
    member = {"groups": [{"properties": [{"type": "cohort", "key": "id", "value": 1}]}]}
    assert evaluate(flag(**member), cohorts={"1": itself}).state is State.NO_VERDICT


def test_cohorts_join_with_three_truth_values() -> None:
    member = {"groups": [{"properties": [{"type": "cohort", "key": "id", "value": 1}]}]}
    static = {"type": "cohort", "key": "id", "value": 2}
    either = {"1": {"type": "OR", "values": [static, PLAN]}}
    assert evaluate(flag(**member), cohorts=either, person={"plan": "pro"}).value is True
    assert evaluate(flag(**member), cohorts=either, person={"plan": "x"}).state is State.NO_VERDICT
    both = {"1": {"type": "AND", "values": [static, {**PLAN, "negation": True}]}}
    assert evaluate(flag(**member), cohorts=both, person={"plan": "pro"}).state is State.OFF


def test_many_paths_to_one_dependency_evaluate_it_once() -> None:
    layers = [flag("f0")]
    for depth in range(1, 40):
        both = depends_on(f"f{depth - 1}")["groups"][0]["properties"] * 2
        layers.append(flag(f"f{depth}", groups=[{"properties": both}]))
    assert evaluate(*reversed(layers)).value is True


def test_only_dates_need_the_time() -> None:
    recent = {"key": "since", "operator": "is_date_after", "value": "-7d"}
    plain, dated = flag(), flag(groups=[{"properties": [recent]}])
    through = flag(groups=[{"properties": [{"type": "cohort", "key": "id", "value": 1}]}])
    around = Surroundings(
        cohorts={"1": parse_cohort(json.dumps({"type": "OR", "values": [recent]}))}
    )
    uses = [
        compile_flag(parse_flag(json.dumps(f)), around).uses_now for f in (plain, dated, through)
    ]
    assert uses == [False, True, True]


def test_references_are_those_of_the_definition_itself() -> None:
    conditions = [*depends_on("g")["groups"], {"properties": [{"type": "cohort", "value": 7}]}]
    refers = references_of_flag(parse_flag(json.dumps(flag(groups=conditions))))
    assert (refers.flags, refers.cohorts, refers.group_types) == (("g",), ("7",), False)
    nested = {"type": "OR", "values": [{"type": "AND", "values": [{"type": "cohort", "value": 3}]}]}
    assert references_of_cohort(parse_cohort(json.dumps(nested))).cohorts == ("3",)
    grouped = parse_flag(json.dumps(flag(aggregation_group_type_index=0)))
    assert references_of_flag(grouped).group_types


def test_unknown_fields_are_left_out_and_wrong_shapes_refused() -> None:
    assert parse_flag('{"key": "f", "new": {"x": 1}, "filters": {"also": 1}}').key == "f"
    with pytest.raises(UnreadableDefinition, match="rollout_percentage"):
        parse_flag('{"key": "f", "filters": {"groups": [{"rollout_percentage": "50"}]}}')
    with pytest.raises(UnreadableDefinition, match="property group"):
        parse_cohort('{"type": "XOR", "values": []}')
    with pytest.raises(UnreadableDefinition, match="no flag definitions"):
        parse_definitions('{"detail": "not found"}')

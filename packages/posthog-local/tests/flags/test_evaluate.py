"""The evaluation order, reason by reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from posthog_local.flags.book import FlagBook
from posthog_local.flags.definition import complete
from posthog_local.flags.evaluate import Evaluation, ReasonCode, Subject

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_GROUPS = {0: "company"}


def evaluate(
    *flags: dict[str, Any], cohorts: dict[int, Any] | None = None, **subject: Any
) -> dict[str, Evaluation]:
    full = [complete(flag, flag_id=n, version=1) for n, flag in enumerate(flags, 1)]
    facts = {"distinct_id": "u", "person_properties": {}, **subject}
    found = FlagBook(full, cohorts or {}).evaluate(Subject(**facts), _GROUPS, _NOW)
    return {one.flag.key: one for one in found}


def one(flag: dict[str, Any], **subject: Any) -> Evaluation:
    return evaluate({"key": "f", **flag}, **subject)["f"]


def line(key: str, value: Any, operator: str = "exact", **rest: Any) -> dict[str, Any]:
    return {"key": key, "value": value, "operator": operator, "type": "person", **rest}


def filters(*groups: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"filters": {"groups": list(groups), **rest}}


def test_a_boolean_flag_with_a_payload() -> None:
    result = one({"payloads": {"true": {"a": 1}}})
    assert (result.value, result.code, result.condition_index) == (True, ReasonCode.MATCH, 0)
    assert result.description == "Matched condition set 1"
    assert result.payload == '{"a":1}'


def test_inactive_and_deleted_flags_are_left_out() -> None:
    assert evaluate({"key": "a", "active": False}, {"key": "b", "deleted": True}) == {}


def test_conditions_are_tried_in_order_and_the_best_failure_is_reported() -> None:
    flag = filters(
        {"properties": [line("plan", "pro")], "rollout_percentage": 100},
        {"properties": [line("plan", "free")], "rollout_percentage": 0},
    )
    assert one(flag).code is ReasonCode.NO_MATCH
    assert one(flag, person_properties={"plan": "free"}).code is ReasonCode.OUT_OF_ROLLOUT
    assert one(flag, person_properties={"plan": "pro"}).condition_index == 0


def test_all_lines_of_a_condition_must_match() -> None:
    flag = {"properties": [line("a", 1), line("b", 2)]}
    assert one(flag, person_properties={"a": 1, "b": 2}).value is True
    assert one(flag, person_properties={"a": 1}).value is False


def test_the_distinct_id_is_a_property() -> None:
    assert one({"properties": [line("distinct_id", "u")]}).value is True


def test_a_condition_may_force_an_existing_variant() -> None:
    variants = {"variants": {"a": 50, "b": 50}}
    assert one({**variants, "variant": "b"}).value == "b"
    assert one({**variants, "variant": "b", "payloads": {"b": "1"}}).payload == "1"
    assert one({**variants, "variant": "gone"}).value in ("a", "b")


def test_early_exit_ends_at_the_first_rollout_that_misses() -> None:
    groups = [{"rollout_percentage": 0}, {"rollout_percentage": 100}]
    assert one(filters(*groups)).value is True
    result = one(filters(*groups, early_exit=True))
    assert (result.value, result.code) == (False, ReasonCode.OUT_OF_ROLLOUT)


def test_groups_bucket_and_match_by_the_group() -> None:
    flag = filters(
        {"properties": [line("size", 10, "gt", type="group", group_type_index=0)]},
        aggregation_group_type_index=0,
    )
    assert one(flag).code is ReasonCode.NO_GROUP
    big = {"group_keys": {"company": "acme"}, "group_properties": {"company": {"size": 11}}}
    assert one(flag, **big).value is True
    assert one(filters({}, aggregation_group_type_index=3), **big).code is ReasonCode.NO_GROUP


def test_a_single_condition_may_be_about_a_group() -> None:
    flag = filters(
        {"aggregation_group_type_index": 0,
         "properties": [line("$group_key", "acme", type="group")]},
    )  # fmt: skip
    assert one(flag, group_keys={"company": "acme"}).value is True
    assert one(flag).code is ReasonCode.NO_GROUP


def test_early_access_decides_before_everything_else() -> None:
    flag = filters({"rollout_percentage": 0}, super_groups=[{"properties": []}])
    enrolled = {"$feature_enrollment/f": "true"}
    assert one(flag, person_properties=enrolled).code is ReasonCode.SUPER
    assert one(flag, person_properties=enrolled).value is True
    assert one({**flag}, person_properties={"$feature_enrollment/f": False}).value is False
    assert one(flag).code is ReasonCode.OUT_OF_ROLLOUT


def test_a_holdout_comes_before_conditions() -> None:
    flag = filters({}, holdout={"id": 3, "exclusion_percentage": 66})
    result = one(flag, distinct_id="distinct_id_0")
    assert (result.value, result.code) == ("holdout-3", ReasonCode.HOLDOUT)
    assert one(filters({}, holdout={"id": 3, "exclusion_percentage": 65}),
               distinct_id="distinct_id_0").value is True  # fmt: skip


def test_device_bucketing_uses_the_device() -> None:
    flag = {"key": "simple-flag", "rollout_percentage": 45, "bucketing_identifier": "device_id"}
    result = evaluate(flag, distinct_id="distinct_id_0", device_id="distinct_id_1")
    assert result["simple-flag"].value is True
    assert evaluate(flag, distinct_id="distinct_id_0")["simple-flag"].value is False


def test_flags_depend_on_flags() -> None:
    base = {"key": "base", "variants": {"a": 100}}
    wants = [("true", True), ("false", False)]
    for value in ("a", True):
        needs = {"key": "n", "properties": [line("base", value, "flag_evaluates_to", type="flag")]}
        assert evaluate(needs, base)["n"].value is True
    needs = {"key": "n", "properties": [line("1", False, "flag_evaluates_to", type="flag")]}
    assert evaluate({**base, "active": False}, needs)["n"].value is True
    assert wants


def test_cycles_and_missing_dependencies_are_off() -> None:
    def needs(key: str, other: str) -> dict[str, Any]:
        return {"key": key, "properties": [line(other, True, "flag_evaluates_to", type="flag")]}

    results = evaluate(needs("a", "b"), needs("b", "a"), needs("c", "gone"), needs("d", "c"))
    assert {one.code for one in results.values()} == {ReasonCode.MISSING_DEPENDENCY}
    assert not any(one.value for one in results.values())


def test_cohorts_nest_and_negate() -> None:
    cohorts = {
        7: {"type": "OR", "values": [{"type": "AND", "values": [
            line("email", "@x", "icontains"), {**line("plan", "free"), "negation": True}]}]},
        8: {"type": "AND", "values": [{"key": "id", "type": "cohort", "value": 7}]},
        9: {"distinct_ids": ["u"]},
    }  # fmt: skip
    member = {"person_properties": {"email": "a@x.io", "plan": "pro"}}

    def within(number: int, operator: str = "in", **subject: Any) -> Evaluation:
        flag = {"key": "f", "properties": [line("id", number, operator, type="cohort")]}
        return evaluate(flag, cohorts=cohorts, **subject)["f"]

    assert within(7, **member).value is True
    assert within(8, **member).value is True
    assert within(8, "not_in", **member).value is False
    assert within(7, person_properties={"email": "a@x.io", "plan": "free"}).value is False
    assert within(9).value is True
    assert within(9, distinct_id="v").value is False


def test_what_cannot_be_evaluated_fails_alone() -> None:
    results = evaluate(
        {"key": "odd", "properties": [line("p", 1, "like")]},
        {"key": "lost", "properties": [line("id", 99, "in", type="cohort")]},
        {"key": "fine"},
    )
    assert {key: one.failed for key, one in results.items()} == {
        "odd": True,
        "lost": True,
        "fine": False,
    }
    assert results["odd"].value is False

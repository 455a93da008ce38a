"""Flags read in an app's functions: values, payloads, results, many at once."""

from __future__ import annotations

from typing import Any

import pytest


def flag(key: str, *, active: bool = True, **filters: Any) -> dict[str, Any]:
    return {
        "id": len(key),
        "key": key,
        "version": 2,
        "active": active,
        "filters": {"groups": [{"properties": []}], **filters},
    }


ON = flag("on", payloads={"true": '{"$color": "red"}'})
BARE = flag("bare")
OFF = flag("off", active=False, payloads={"true": '"unused"'})
VARIANT = flag(
    "variant",
    multivariate={"variants": [{"key": "a", "rollout_percentage": 100}]},
    payloads={"a": "[1, 2]", "b": '"other"'},
)
PRO = flag("pro", groups=[{"properties": [{"key": "plan", "value": "pro", "operator": "exact"}]}])
SIZE = flag(
    "size",
    aggregation_group_type_index=0,
    groups=[{"properties": [{"key": "seats", "type": "group", "value": 9, "operator": "gt"}]}],
)
ANSWER = {
    "flags": [ON, BARE, OFF, VARIANT, PRO, SIZE],
    "group_type_mapping": {"0": "company"},
}
KINDS = ("query", "mutation", "action")


def test_payloads(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(ANSWER)
        ask = {"distinct_id": "u", "default": "default"}
        for kind in KINDS:
            # A Convex value has no field "$color", so it leaves the function as text.
            for key, payload in (("bare", None), ("off", None), ("variant", [1, 2])):
                found = await app.call(kind, "get_feature_flag_payload", key, **ask)
                assert found == payload
            for key in ("pro", "gone"):
                assert await app.call(kind, "get_feature_flag_payload", key, **ask) == "default"

    deployed(scenario)


def test_the_payload_of_a_known_value_needs_nobody(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        async def payload(key: str, value: Any) -> Any:
            return await app.call(
                "query", "get_feature_flag_payload", key, match_value=value, default="default"
            )

        assert await payload("variant", "b") == "default", "nothing is loaded"
        await app.store(ANSWER)
        assert await payload("variant", "b") == "other"
        assert await payload("variant", "gone") is None
        assert await payload("variant", False) is None
        assert await payload("off", True) == "unused"
        assert await payload("gone", True) == "default"
        with pytest.raises(Exception, match="get_feature_flag_payload needs a distinct id"):
            await app.call("query", "get_feature_flag_payload", "variant")

    deployed(scenario)


def test_results_tell_all_states_apart(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        async def result(key: str, **about: Any) -> dict[str, Any]:
            found: dict[str, Any] = await app.call(
                "query", "get_feature_flag_result", key, **{"distinct_id": "u", **about}
            )
            assert (found.pop("id"), found.pop("version")) in ((float(len(key)), 2), (None, None))
            return found

        decided = {"reason": None, "detail": "", "has_verdict": True}
        await app.store(ANSWER)
        assert await result("variant") == decided | {
            "key": "variant", "state": "match", "value": "a", "enabled": True, "variant": "a",
            "payload": [1, 2],
        }  # fmt: skip
        assert await result("off") == decided | {
            "key": "off", "state": "off", "value": False, "enabled": False, "variant": None,
            "payload": None,
        }  # fmt: skip
        none = {"value": None, "enabled": None, "variant": None, "payload": None}
        none["has_verdict"] = False
        assert await result("pro") == none | {
            "key": "pro",
            "state": "no_verdict",
            "reason": "missing_context",
            "detail": "property 'plan' was not passed",
        }
        assert (await result("pro", person_properties={"plan": "pro"}))["value"] is True
        assert await result("gone") == none | {
            "key": "gone", "state": "unknown", "reason": None, "detail": ""
        }  # fmt: skip

    deployed(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_all_flags(deployed_here: Any, kind: str) -> None:
    async def scenario(app: Any) -> None:
        async def flags(**options: Any) -> Any:
            return await app.call(kind, "get_all_flags", **{"distinct_id": "u", **options})

        assert await flags() == {}
        assert "POSTHOG_PERSONAL_API_KEY" in app.log[0]
        assert await flags(flag_keys=["on"], default="?") == {"on": "?"}
        await app.store(ANSWER)
        known = {"on": True, "bare": True, "off": False, "variant": "a", "size": False}
        assert await flags() == known
        assert "property" in app.log[0]
        assert await flags(default=None) == {**known, "pro": None}
        assert list(app.log) == [], "told twice"
        assert await flags(flag_keys=["off", "pro", "gone"]) == {"off": False}
        assert await flags(flag_keys=["off", "gone", "off"], default="?") == {
            "off": False,
            "gone": "?",
        }
        about = {
            "person_properties": {"plan": "pro"},
            "groups": {"company": 5},
            "group_properties": {"company": {"seats": 12}},
        }
        assert await flags(flag_keys=["pro", "size"], **about) == {"pro": True, "size": True}

    deployed_here(scenario)


def test_all_flags_and_payloads(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(ANSWER)
        keys = ["bare", "off", "variant", "pro", "gone"]
        found = await app.call(
            "query", "get_all_flags_and_payloads", distinct_id="u", flag_keys=keys
        )
        assert found == {
            "flags": {"bare": True, "off": False, "variant": "a"},
            "payloads": {"variant": [1, 2]},
            "error": None,
        }

    deployed(scenario)


def test_many_undecided_flags_are_one_line(deployed_here: Any) -> None:
    async def scenario(app: Any) -> None:
        undecided = [{**PRO, "key": f"pro-{n}"} for n in range(20)]
        await app.store({"flags": undecided})
        assert await app.call("query", "get_all_flags", distinct_id="u") == {}
        (line,) = app.log
        assert "17 more flags" in line

    deployed_here(scenario)


def test_a_warning_is_told_once_a_version(deployed_here: Any) -> None:
    async def scenario(app: Any) -> None:
        async def warnings() -> int:
            await app.call("mutation", "get_feature_flag", "pro", distinct_id="u")
            return len(app.log)

        await app.store({"flags": [PRO]})
        assert [await warnings(), await warnings()] == [1, 0]
        await app.store({"flags": [PRO, ON]})
        assert await warnings() == 0
        await app.store({"flags": [{**PRO, "version": 3}, ON]})
        assert [await warnings(), await warnings()] == [1, 0]

    deployed_here(scenario)


def test_reading_some_flags_depends_on_these_and_reading_all_on_all(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store({"flags": [ON, OFF, BARE]})
        about = {"method": "get_all_flags", "arguments": []}
        some = app.watch(
            "shop:in_query", {**about, "options": {"distinct_id": "u", "flag_keys": ["on", "off"]}}
        )
        every = app.watch("shop:in_query", {**about, "options": {"distinct_id": "u"}})
        before = await some(), await every()
        await app.store({"flags": [ON, OFF, {**BARE, "active": False}]})
        after = await some(), await every()
        assert after[0] is before[0]
        assert after[1] is not before[1]
        await app.store({"flags": [ON, {**OFF, "active": True}, {**BARE, "active": False}]})
        assert await some() is not after[0]

    deployed(scenario)


def test_a_keyword_that_no_call_has_is_named(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        for method, arguments in (
            ("get_feature_flag", ["on"]), ("is_feature_enabled", ["on"]), ("get_all_flags", []),
            ("get_feature_flag_payload", ["on"]), ("get_feature_flag_result", ["on"]),
            ("get_all_flags_and_payloads", []),
        ):  # fmt: skip
            with pytest.raises(Exception, match="unexpected keyword argument 'group'"):
                await app.call("query", method, *arguments, distinct_id="u", group={})

    deployed(scenario)

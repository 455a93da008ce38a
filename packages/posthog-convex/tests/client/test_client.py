"""What an app's functions call, in a real deployment."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

ON = {"key": "on", "active": True, "filters": {"groups": [{"properties": []}]}}
OFF = {"key": "off", "active": False, "filters": {"groups": []}}
VARIANT = {
    "key": "variant",
    "active": True,
    "filters": {
        "groups": [{"properties": []}],
        "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]},
    },
}
PRO = {
    "key": "pro",
    "active": True,
    "filters": {"groups": [{"properties": [{"key": "plan", "value": "pro", "operator": "exact"}]}]},
}
GROUPED = {
    "key": "grouped",
    "active": True,
    "filters": {
        "aggregation_group_type_index": 0,
        "groups": [{"properties": [{"key": "$group_key", "type": "group", "value": "acme"}]}],
    },
}
ANSWER = {"flags": [ON, OFF, VARIANT, PRO, GROUPED], "group_type_mapping": {"0": "company"}}


def test_capture_commits_with_the_mutation(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        uuid = await app.mutation("shop:capture", {"options": {"properties": {"n": 1}}}, user="ada")
        with pytest.raises(Exception, match="rolled back"):
            await app.mutation("shop:capture_and_fail")
        (event,) = app.events()
        assert UUID(uuid).version == 7
        assert event["uuid"] == uuid
        assert event["event"] == "bought"
        assert event["distinct_id"] == "ada"
        assert event["properties"]["n"] == 1
        assert event["properties"]["$lib"] == "posthog-convex-python"
        assert "$process_person_profile" not in event["properties"]

    deployed(scenario)


def test_property_names_that_convex_refuses_reach_the_queue(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.mutation("shop:capture_dollar")
        properties = app.events()[0]["properties"]
        assert properties["$set"] == {"plan": "pro"}
        assert properties["größe"] == 3

    deployed(scenario)


def test_who(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.mutation("shop:capture", {"options": {"distinct_id": "explicit"}}, user="ada")
        await app.mutation("shop:capture", {"options": {}})
        await app.mutation("shop:capture_hooked", {"name": "x"}, user="ada")
        explicit, nobody, callback = app.events()
        assert explicit["distinct_id"] == "explicit"
        assert nobody["distinct_id"] == nobody["uuid"]
        assert nobody["properties"]["$process_person_profile"] is False
        assert callback["distinct_id"] == "callback"

    deployed(scenario)


def test_events_keep_their_order_and_own_stamps(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        one, other = await app.mutation("shop:capture_twice", user="ada")
        assert [event["event"] for event in app.events()] == ["a", "b"]
        assert one != other
        stamp = {
            "uuid": "018fd3a9-0400-7000-8000-000000000005",
            "timestamp": "2024-06-01T14:00:00+02:00",
            "groups": {"company": "acme"},
            "disable_geoip": False,
        }
        await app.mutation("shop:capture", {"options": stamp})
        event = app.events()[-1]
        assert event["uuid"] == stamp["uuid"]
        assert event["timestamp"] == "2024-06-01T12:00:00.000Z"
        assert event["properties"]["$groups"] == {"company": "acme"}
        assert "$geoip_disable" not in event["properties"]

    deployed(scenario)


def test_identify(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        options = {"properties": {"plan": "pro"}, "anon_distinct_id": "anon"}
        await app.mutation("shop:identify", {"options": options}, user="ada")
        (event,) = app.events()
        assert (event["event"], event["distinct_id"]) == ("$identify", "ada")
        assert event["$set"] == {"plan": "pro"}
        assert event["properties"]["$anon_distinct_id"] == "anon"
        with pytest.raises(Exception, match="identify needs a distinct id"):
            await app.mutation("shop:identify", {"options": {}})

    deployed(scenario)


@pytest.mark.parametrize(
    ("method", "arguments", "options", "expected"),
    [
        ("set", [{"plan": "pro"}], {}, {"event": "$set", "$set": {"plan": "pro"}}),
        ("set_once", [{"plan": "x"}], {}, {"event": "$set_once", "$set_once": {"plan": "x"}}),
        ("alias", ["anon-1"], {}, {"event": "$create_alias"}),
    ],
)
def test_person_calls_in_mutations_and_actions(
    deployed: Any, method: str, arguments: list[Any], options: Any, expected: dict[str, Any]
) -> None:
    async def scenario(app: Any) -> None:
        for kind in ("mutation", "action"):
            uuid = await app.call(kind, method, *arguments, **options, user="ada")
            event = app.events()[-1]
            assert event["uuid"] == uuid
            assert event["distinct_id"] == "ada"
            assert expected.items() <= event.items()
            with pytest.raises(Exception, match=f"{method} needs a distinct id"):
                await app.call(kind, method, *arguments)
        if method == "alias":
            assert event["properties"]["alias"] == "anon-1"
            assert event["properties"]["distinct_id"] == "ada"

    deployed(scenario)


def test_group_identify_is_nobodys_unless_said(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        options = {"properties": {"seats": 12}}
        await app.call("mutation", "group_identify", "company", "acme", user="ada", **options)
        (event,) = app.events()
        assert event["event"] == "$groupidentify"
        assert event["distinct_id"] == "$company_acme"
        assert event["properties"]["$group_type"] == "company"
        assert event["properties"]["$group_key"] == "acme"
        assert event["properties"]["$group_set"] == {"seats": 12}
        await app.call("action", "group_identify", "company", "acme", distinct_id="ada")
        assert app.events()[-1]["distinct_id"] == "ada"

    deployed(scenario)


def test_every_call_may_be_stamped(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        stamp = {
            "distinct_id": "u",
            "uuid": "018fd3a9-0400-7000-8000-000000000005",
            "timestamp": "2024-06-01T14:00:00+02:00",
            "disable_geoip": False,
        }
        for method, arguments in (
            ("capture", ["e"]), ("identify", []), ("set", [{}]), ("set_once", [{}]),
            ("alias", ["a"]), ("group_identify", ["company", "acme"]),
        ):  # fmt: skip
            await app.call("mutation", method, *arguments, **stamp)
            event = app.events()[-1]
            assert (event["uuid"], event["distinct_id"]) == (stamp["uuid"], "u")
            assert event["timestamp"] == "2024-06-01T12:00:00.000Z"
            assert "$geoip_disable" not in event["properties"]
            with pytest.raises(Exception, match="unexpected keyword argument 'distinctid'"):
                await app.call("mutation", method, *arguments, distinctid="u")

    deployed(scenario)


def test_events_carry_flags_when_asked_to(deployed_here: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(ANSWER)
        await app.mutation("shop:capture_with_flags", {"wanted": True})
        properties = app.events()[-1]["properties"]
        assert properties["$active_feature_flags"] == ["grouped", "on", "variant"]
        flags = {k: v for k, v in properties.items() if k.startswith("$feature/")}
        assert flags == {
            "$feature/on": True,
            "$feature/off": False,
            "$feature/variant": "a",
            "$feature/grouped": True,
        }
        assert "has no verdict here: property" in app.log[0]
        wanted = {"person_properties": {"plan": "pro"}, "flag_keys": ["pro", "variant"]}
        await app.mutation("shop:capture_with_flags", {"wanted": wanted})
        properties = app.events()[-1]["properties"]
        assert properties["$active_feature_flags"] == ["pro", "variant"]
        assert properties["$feature/variant"] == "mine"
        assert properties["n"] == 1
        await app.call("mutation", "capture", "nobody", send_feature_flags=True)
        assert "$active_feature_flags" not in app.events()[-1]["properties"]

    deployed_here(scenario)


def test_an_action_captures_durably(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        uuid = await app.action("shop:capture_in_action")
        assert [event["uuid"] for event in app.events()] == [uuid]

    deployed(scenario)


@pytest.mark.parametrize("call", ["capture", "identify"])
def test_a_query_is_told_to_use_a_mutation(deployed: Any, call: str) -> None:
    async def scenario(app: Any) -> None:
        expected = (
            f"posthog.{call} can't run in query 'shop:{call}_in_query': queries re-run and write "
            "nothing. Call it from a mutation or action."
        )
        with pytest.raises(Exception, match=expected):
            await app.query(f"shop:{call}_in_query")
        assert app.events() == []

    deployed(scenario)


def test_hooks_change_and_drop(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.mutation("shop:capture_hooked", {"name": "secret"})
        await app.mutation("shop:capture_hooked", {"name": "broken"})
        assert "before_send failed, event" in app.log[0]
        await app.mutation("shop:capture_hooked", {"name": "torn"})
        assert "has no uuid" in app.log[0]
        await app.mutation("shop:capture_hooked", {"name": "fine"})
        (event,) = app.events()
        assert event["event"] == "fine"
        assert event["properties"]["hooked"] is True

    deployed(scenario)


def test_flags_in_every_kind_of_function(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(ANSWER)
        for key, value in (("on", True), ("off", False), ("variant", "a")):
            assert await app.query("shop:flag", {"key": key}, user="ada") == value
            assert await app.mutation("shop:flag_in_mutation", {"key": key}) == value
            assert await app.action("shop:flag_in_action", {"key": key}) == value
            assert await app.query("shop:enabled", {"key": key}) is (value is not False)

    deployed(scenario)


def test_properties_and_groups_decide(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.store(ANSWER)
        for plan, value in (("pro", True), ("free", False)):
            options = {"distinct_id": "u", "person_properties": {"plan": plan}}
            assert await app.query("shop:flag", {"key": "pro", "options": options}) is value
        options = {"distinct_id": "u", "groups": {"company": "acme"}}
        assert await app.query("shop:flag", {"key": "grouped", "options": options}) is True
        options = {"distinct_id": "u", "groups": {"company": "other"}}
        assert await app.query("shop:flag", {"key": "grouped", "options": options}) is False

    deployed(scenario)


def test_without_a_value_the_default_stands_in_and_a_warning_says_why(deployed_here: Any) -> None:
    async def scenario(app: Any) -> None:
        options = {"distinct_id": "u"}
        assert await app.query("shop:flag", {"key": "pro", "options": options}) == "default"
        assert "Set POSTHOG_PERSONAL_API_KEY" in app.log[0]
        await app.store(ANSWER)
        assert await app.query("shop:flag", {"key": "pro", "options": options}) == "default"
        assert "no verdict here: property" in app.log[0]
        assert await app.query("shop:flag", {"key": "gone", "options": options}) == "default"
        assert "there is no flag" in app.log[0]
        assert await app.query("shop:enabled", {"key": "gone"}) is None
        with pytest.raises(Exception, match="get_feature_flag needs a distinct id"):
            await app.query("shop:flag", {"key": "on"})

    deployed_here(scenario)


def test_an_event_carries_flags_that_were_asked_for_before(deployed: Any) -> None:
    async def scenario(app: Any) -> None:
        for flags in (
            {"variant": "a", "off": False, "undecided": None},
            {"flags": {"variant": "a", "off": False}, "payloads": {"variant": 1}},
        ):
            await app.mutation("shop:capture_with", {"flags": flags}, user="ada")
            properties = app.events()[-1]["properties"]
            assert properties["$feature/variant"] == "a"
            assert properties["$feature/off"] == "mine"
            assert properties["$active_feature_flags"] == ["variant"]
            assert "$feature/undecided" not in properties
        told = await app.fails("mutation", "shop:capture", {"options": {"flags": ["variant"]}})
        assert "flags must be what get_all_flags" in told

    deployed(scenario)

"""Flags evaluated by PostHog, refreshes by hand and the status, against a PostHog Local."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from posthog_convex import PollState, Status

PRO = [{"key": "plan", "value": "pro", "operator": "exact"}]


def test_values_and_payloads(deployed: Any, local: Any) -> None:
    local.set_flag("variant", variants={"a": 100}, payloads={"a": [1, 2]})
    local.set_flag("pro", properties=PRO)
    local.set_flag("off", active=False)

    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)

        async def ask(method: str, *arguments: str, **options: Any) -> Any:
            return await app.call("action", method, *arguments, **{"distinct_id": "u", **options})

        assert await ask("evaluate_flag", "variant") == "a"
        assert await ask("evaluate_flag", "pro") is False
        about = {"person_properties": {"plan": "pro"}}
        assert await ask("evaluate_flag", "pro", **about) is True
        assert await ask("evaluate_flag_payload", "variant", default="?") == [1, 2]
        assert await ask("evaluate_flag_payload", "pro", default="?") is None
        assert await ask("evaluate_flag", "gone", default="?") == "?"
        assert "no active flag" in app.log[0]
        assert await ask("evaluate_flag_payload", "gone", default="?") == "?"
        assert await ask("evaluate_all_flags", **about) == {
            "flags": {"variant": "a", "pro": True},
            "payloads": {"variant": [1, 2]},
            "error": None,
        }
        some = await ask("evaluate_all_flags", flag_keys=["pro"])
        assert some["flags"] == {"pro": False}
        with pytest.raises(Exception, match="evaluate_flag needs a distinct id"):
            await app.call("action", "evaluate_flag", "variant")

    deployed(scenario)


def test_stored_properties_and_groups_count(deployed: Any, local: Any) -> None:
    local.set_flag("pro", properties=PRO)
    local.set_flag(
        "large",
        definition={
            "active": True,
            "filters": {
                "aggregation_group_type_index": 0,
                "groups": [
                    {
                        "properties": [
                            {
                                "key": "$group_key",
                                "type": "group",
                                "group_type_index": 0,
                                "value": "acme",
                                "operator": "exact",
                            }
                        ],
                        "rollout_percentage": 100,
                    }
                ],
            },
        },
    )

    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)
        await app.call("mutation", "set", {"plan": "pro"}, distinct_id="u")
        await app.call("mutation", "group_identify", "company", "acme")
        await asyncio.to_thread(local.wait_for_event, "$groupidentify", timeout=20)
        assert await app.call("action", "evaluate_flag", "pro", distinct_id="u") is True
        assert await app.call("action", "evaluate_flag", "pro", distinct_id="v") is False
        groups = {"company": "acme"}
        found = await app.call("action", "evaluate_flag", "large", distinct_id="u", groups=groups)
        assert found is True

    deployed(scenario)


#: What happens to requests → what the warning names, and how many requests a call makes then.
FAULTS: list[tuple[dict[str, Any], str, int]] = [
    ({"status": 502}, "status 502", 2),
    ({"status": 504}, "status 504", 2),
    ({"hang": True}, "no answer within 0.5 s", 2),
    ({"lose_response": True}, "could not be reached", 2),
    ({"status": 503}, "503", 1),
    ({"quota_limited": True}, "quota", 1),
    ({"status": 401}, "POSTHOG_PROJECT_TOKEN", 1),
]


def test_trouble_gives_the_default_and_a_warning(deployed: Any, local: Any) -> None:
    local.set_flag("on")

    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)
        for fault, word, requests in FAULTS:
            hangs = "hang" in fault
            ask = {"distinct_id": "u", "timeout_s": 0.5 if hangs else 30.0}
            local.clear_faults()
            local.add_fault("/flags", **fault)
            found = await app.call("action", "evaluate_flag", "on", default="?", **ask)
            assert found == "?"
            (line,) = app.log
            assert word in line
            assert local.faults()[0]["hits"] == requests
            found = await app.call("action", "evaluate_all_flags", **ask)
            assert (found["flags"], found["payloads"]) == ({}, {})
            assert word in found["error"]
            local.clear_faults()
            local.add_fault("/flags", times=1, **fault)
            if hangs:
                ask["timeout_s"] = 4.0  # the second attempt is answered, on a busy machine too
            found = await app.call("action", "evaluate_flag", "on", default="?", **ask)
            assert found == (True if requests == 2 else "?")

    deployed(scenario)


def test_many_actions_ask_at_once(deployed: Any, local: Any) -> None:
    local.set_flag("on")
    local.add_fault("/flags", latency_ms=50)

    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)
        # More than the host runs side by side: none may wait for a place that another one holds.
        asking = [app.call("action", "evaluate_flag", "on", distinct_id=f"u{n}") for n in range(50)]
        assert await asyncio.gather(*asking) == [True] * 50
        assert app.log == ()

    deployed(scenario)


def test_reload(deployed: Any, local: Any) -> None:
    local.set_flag("one")

    async def scenario(app: Any) -> None:
        async def reload() -> tuple[str, str | None]:
            found = await app.call("action", "reload_feature_flags")
            return found["status"], found["reason"]

        assert await reload() == ("skipped", "POSTHOG_PERSONAL_API_KEY is not set")
        # An hour between looks: what happens here was asked for.
        slow = {"POSTHOG_FLAGS_POLLING_INTERVAL_SECONDS": "3600"}
        await app.connect(local, key=False, POSTHOG_DISABLE_LOCAL_EVALUATION="1")
        await app.set_env(POSTHOG_PERSONAL_API_KEY=local.personal_api_key, **slow)
        assert (await reload())[0] == "skipped"
        await app.set_env(POSTHOG_DISABLE_LOCAL_EVALUATION=None)
        await app.until("definitions", lambda: app.lane_query("poll:status"))
        await app.until("the first look", lambda: stored(app))
        assert await reload() == ("unchanged", None)
        local.set_flag("two")
        assert await reload() == ("updated", None)
        assert await app.call("query", "is_feature_enabled", "two", distinct_id="u") is True
        local.add_fault("/flags/definitions", status=402)
        status, reason = await reload()
        assert status == "error"
        assert "billing" in reason
        assert "last definitions stay in force" in reason
        local.clear_faults()
        local.add_fault("/flags/definitions", status=503, times=1)
        status, reason = await reload()
        assert (status, "503" in reason) == ("error", True)
        assert local.personal_api_key not in reason
        assert await reload() == ("unchanged", None)

    async def stored(app: Any) -> bool:
        found = await app.lane_query("flags:stored")
        return found["etag"] is not None

    deployed(scenario)


def test_status_in_every_kind_of_function(deployed: Any, local: Any) -> None:
    local.set_flag("one")

    async def scenario(app: Any) -> None:
        for kind in ("query", "mutation", "action"):
            assert await app.call(kind, "status") == {
                "poll": "no_key",
                "flags": 0,
                "cohorts": 0,
                "fetched_at": None,
                "confirmed_at": None,
                "failing_since": None,
                "error": None,
                "poll_interval_s": 60,
                "queued": 0,
                "oldest": None,
                "sent": 0,
                "failed": 0,
                "dropped": 0,
                "delivery_error": None,
                "last_error": None,
                "counted_at": None,
            }
        await app.connect(local)

        async def fine() -> Any:
            found = await app.call("query", "status")
            return found if found["poll"] == "fine" else None

        found = await app.until("definitions", fine)
        assert (found["flags"], found["poll_interval_s"]) == (1, 1)
        fetched, confirmed = (found[name] for name in ("fetched_at", "confirmed_at"))
        assert datetime.fromisoformat(fetched) <= datetime.fromisoformat(confirmed)
        await app.set_env(POSTHOG_DISABLE_LOCAL_EVALUATION="yes")
        assert (await app.call("query", "status"))["poll"] == "disabled"

    deployed(scenario)


def test_an_age_counts_from_the_last_confirmation() -> None:
    noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
    status = Status(
        poll=PollState.FAILING,
        flags=1,
        cohorts=0,
        fetched_at=noon,
        confirmed_at=noon,
        failing_since=noon,
        error="503",
        poll_interval_s=60.0,
    )
    assert status.age_s(noon.replace(hour=13)) == 3600
    assert status.age_s(noon.replace(hour=11)) == 0
    assert structs.replace(status, confirmed_at=None).age_s(noon) is None


def test_unset_takes_properties_of_the_person_away(deployed: Any, local: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)
        await app.call("mutation", "set", {"plan": "pro", "name": "Ada"}, distinct_id="ada")
        await app.call("mutation", "unset", ["plan"], distinct_id="ada")
        await app.call("action", "capture", "last", distinct_id="ada")

        async def told() -> bool:
            return bool(local.events(event="last"))

        await app.until("the events", told)
        assert local.person("ada")["properties"] == {"name": "Ada"}

    deployed(scenario)

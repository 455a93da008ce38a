"""The kit for tests of apps that use PostHog."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test


def run(functions: Path, scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test(functions, env=ENV) as t, posthog_test(t) as posthog:
            await scenario(t, posthog)

    asyncio.run(main())


async def call(t: ConvexTest, kind: str, method: str, *arguments: Any, **options: Any) -> Any:
    ask = {"method": method, "arguments": list(arguments), "options": options}
    return await getattr(t, kind)(f"shop:in_{kind}", ask)


def test_events_of_what_committed(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        assert posthog.events == []
        uuid = await call(t, "mutation", "capture", "bought", distinct_id="u", properties={"n": 1})
        with pytest.raises(FunctionFailed):
            await t.mutation("shop:capture_and_fail")
        (event,) = posthog.events
        assert (event["uuid"], event["event"]) == (uuid, "bought")
        assert event["properties"]["n"] == 1
        posthog.clear()
        assert posthog.events == []
        await call(t, "action", "identify", distinct_id="u")
        assert [each["event"] for each in posthog.events] == ["$identify"]

    run(functions, scenario)


def test_flags_are_what_was_set(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        async def local(key: str) -> Any:
            return await call(t, "query", "get_feature_flag", key, distinct_id="u", default="?")

        async def remote(key: str) -> Any:
            return await call(t, "action", "evaluate_flag", key, distinct_id="u", default="?")

        assert await local("beta") == await remote("beta") == "?"
        for value in (True, "variant-a", False):
            await posthog.set_flag("beta", value)
            assert await local("beta") == value
            # PostHog leaves flags that are switched off out of its answers.
            assert await remote("beta") == ("?" if value is False else value)
        await posthog.set_flag("beta", "b", payload={"percent": 20})
        for method, kind in (
            ("get_feature_flag_payload", "mutation"), ("evaluate_flag_payload", "action"),
        ):  # fmt: skip
            assert await call(t, kind, method, "beta", distinct_id="u") == {"percent": 20}
        await posthog.remove_flag("beta")
        assert await local("beta") == "?"

    run(functions, scenario)


def test_definitions_decide_by_person(functions: Path) -> None:
    pro = [{"key": "plan", "value": "pro", "operator": "exact"}]
    definition = {"active": True, "filters": {"groups": [{"properties": pro}]}}

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await posthog.set_flag("pro", definition=definition)
        for plan in ("pro", "free"):
            about = {"distinct_id": "u", "person_properties": {"plan": plan}}
            for kind, method in (("query", "get_feature_flag"), ("action", "evaluate_flag")):
                assert await call(t, kind, method, "pro", **about) is (plan == "pro")

    run(functions, scenario)


def test_a_subscriber_sees_a_flag_change(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await posthog.set_flag("beta", "a")
        ask = {"method": "get_feature_flag", "arguments": ["beta"], "options": {"distinct_id": "u"}}
        values = t.subscribe("shop:in_query", ask)
        assert await anext(values) == "a"
        await posthog.set_flag("beta", "b")
        assert await anext(values) == "b"

    run(functions, scenario)


def test_posthog_can_be_away(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.set_env(POSTHOG_PERSONAL_API_KEY="phx_test")
        await posthog.set_flag("beta")
        posthog.fail()
        found = await call(t, "action", "evaluate_all_flags", distinct_id="u")
        assert "no answer" in found["error"]
        assert (await call(t, "action", "reload_feature_flags"))["status"] == "error"
        posthog.fail(None)
        found = await call(t, "action", "evaluate_all_flags", distinct_id="u")
        assert found["flags"] == {"beta": True}
        assert (await call(t, "action", "reload_feature_flags"))["status"] == "unchanged"

    run(functions, scenario)


def test_nothing_stands_in_after_the_block(functions: Path) -> None:
    from posthog_convex.component import connections

    async def main() -> None:
        before = dict(connections._pools)
        async with convex_test(functions, env=ENV) as t, posthog_test(t):
            assert connections._pools != before
        assert connections._pools == before

    asyncio.run(main())

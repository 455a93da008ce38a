"""Exposures: that somebody was given a flag's value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

KINDS = ("query", "mutation", "action")


def run(functions: Path, scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test(functions, env=ENV) as t, posthog_test(t) as posthog:
            await posthog.set_flag("beta", "variant-a", payload={"percent": 20})
            await posthog.set_flag("off", False)
            await scenario(t, posthog)

    asyncio.run(main())


async def call(t: ConvexTest, kind: str, method: str, *arguments: Any, **options: Any) -> Any:
    ask = {"method": method, "arguments": list(arguments), "options": options}
    return await getattr(t, kind)(f"shop:in_{kind}", ask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "method",
    [
        "get_feature_flag",
        "is_feature_enabled",
        "get_feature_flag_result",
    ],
)
def test_reading_one_flag_is_an_exposure(functions: Path, kind: str, method: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        groups = {"company": "acme"}
        await call(t, kind, method, "beta", distinct_id="ada", groups=groups)
        (event,) = posthog.exposures
        assert event["event"] == "$feature_flag_called"
        assert event["distinct_id"] == "ada"
        properties = event["properties"]
        assert properties["$feature_flag"] == "beta"
        assert properties["$feature_flag_response"] == "variant-a"
        assert properties["$feature/beta"] == "variant-a"
        assert properties["$feature_flag_payload"] == {"percent": 20}
        assert properties["$feature_flag_reason"] == "Evaluated locally"
        assert properties["locally_evaluated"] is True
        assert properties["$groups"] == groups

    run(functions, scenario)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("evaluate_flag", {}),
        ("evaluate_flag_payload", {"send_feature_flag_events": True}),
    ],
)
def test_so_is_asking_posthog_for_one(
    functions: Path, method: str, options: dict[str, Any]
) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await call(t, "action", method, "beta", distinct_id="ada", **options)
        (event,) = posthog.exposures
        assert event["properties"]["locally_evaluated"] is False
        assert event["properties"]["$feature_flag_response"] == "variant-a"

    run(functions, scenario)


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("get_all_flags", [], {}),
        ("get_all_flags_and_payloads", [], {}),
        ("evaluate_all_flags", [], {}),
        ("get_feature_flag_payload", ["beta"], {}),
        ("get_feature_flag_payload", ["beta"], {"match_value": "variant-a"}),
        ("evaluate_flag_payload", ["beta"], {}),
        ("get_feature_flag", ["unknown"], {}),
        ("get_feature_flag", ["beta"], {"send_feature_flag_events": False}),
        ("evaluate_flag", ["beta"], {"send_feature_flag_events": False}),
        ("evaluate_flag", ["unknown"], {}),
    ],
)
def test_other_reads_are_none(
    functions: Path, method: str, arguments: list[Any], options: dict[str, Any]
) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await call(t, "action", method, *arguments, distinct_id="ada", **options)
        assert posthog.exposures == []

    run(functions, scenario)


def test_a_client_can_switch_them_off(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        assert await t.query("shop:quiet_flag", key="beta") == "variant-a"
        assert posthog.exposures == []

    run(functions, scenario)


def test_each_is_sent_once_for_each_person_flag_and_value(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        for _ in range(2):
            await t.query("shop:flag_often", key="beta")
            await t.query("shop:flag_often", key="off")
        await posthog.set_flag("beta", "variant-b")
        await t.query("shop:flag_often", key="beta")
        await call(t, "query", "get_feature_flag", "beta", distinct_id="eve")
        assert [
            (e["distinct_id"], e["properties"]["$feature_flag_response"]) for e in posthog.exposures
        ] == [("u", "variant-a"), ("u", False), ("u", "variant-b"), ("eve", "variant-b")]
        first = next(r for r in t.run_records if r.path == "shop:flag_often")
        assert len(first.report.items) == 1

    run(functions, scenario)


def test_one_fired_by_hand_takes_the_slot(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.mutation("shop:expose_by_hand", key="off", fail=True)
        uuid = await t.mutation("shop:expose_by_hand", key="beta", fail=False)
        for key in ("beta", "off"):
            await t.query("shop:flag_often", key=key)
        assert [e["uuid"] for e in posthog.events] == [uuid]
        assert [e["properties"]["$feature_flag"] for e in posthog.exposures] == ["off"]
        posthog.clear()
        # Sent by both after all, they are one event to PostHog.
        await call(t, "query", "get_feature_flag", "beta", distinct_id="u")
        assert [e["uuid"] for e in posthog.exposures] == [uuid]

    run(functions, scenario)


def test_hooks_see_them(functions: Path) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        assert await t.query("shop:hooked_flag", key="beta") == "variant-a"
        (event,) = posthog.exposures
        assert event["properties"]["hooked"] is True
        assert event["distinct_id"] == "callback"

    run(functions, scenario)


def test_they_leave_a_query_cached(functions: Path) -> None:
    """Stamping an exposure is not looking at the clock, and whoever comes later is told too."""

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.query("shop:flag_often", key="beta")
        await t.advance(3600)
        await t.query("shop:flag_often", key="beta")
        runs = [r for r in t.run_records if r.path == "shop:flag_often"]
        assert [r.cached for r in runs] == [False, True]
        assert [len(r.report.items) for r in runs] == [1, 1]
        assert len(posthog.exposures) == 1

    run(functions, scenario)

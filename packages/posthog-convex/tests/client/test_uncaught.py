"""`before_send` sees errors that leave functions, and may change or drop them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex import ConvexError
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

KINDS = ("query", "mutation", "action")
CONFIG = """
from posthog_convex import posthog_component
from pyconvex import define_app, v
app = define_app(env={"POSTHOG_PROJECT_TOKEN": v.string()})
app.use(posthog_component, env=app.env)
"""
SHOP = """
import json
from posthog_convex import PostHog
from pyconvex import *

def before_send(event):
    if event["event"] != "$exception":
        return event
    (first, *_) = event["properties"]["$exception_list"]
    print(f"saw {first['value']}")
    if first["type"] == "KeyError":
        return None
    if first["value"] == "breaks the hook":
        raise RuntimeError("hook")
    first["value"] = first["value"].replace("4111", "****")
    event["properties"]["seen"] = {
        "person": event["distinct_id"],
        "function": event["properties"].get("convex_function"),
        "session": event["properties"].get("$session_id"),
    }
    return event

posthog = PostHog(components.posthog, before_send=before_send)

def fail(kind, text):
    raise {"key": KeyError, "value": ValueError, "convex": ConvexError}[kind](text)

@query
async def in_query(ctx: QueryCtx, kind: str, text: str) -> None:
    fail(kind, text)

@query
async def looks(ctx: QueryCtx) -> None:
    ctx.set_session_id("s1")
    raise ValueError(f"no, {ctx.user_id}")

@mutation
async def in_mutation(ctx: MutationCtx, kind: str, text: str) -> None:
    await posthog.capture(ctx, "tried")
    fail(kind, text)

@mutation
async def inner(ctx: MutationCtx) -> None:
    raise ValueError("within")

@mutation
async def catches(ctx: MutationCtx) -> None:
    try:
        await ctx.run_mutation(inner)
    except ValueError:
        pass

@action
async def in_action(ctx: ActionCtx, kind: str, text: str) -> None:
    fail(kind, text)

@action
async def calls(ctx: ActionCtx) -> None:
    await ctx.run_mutation(inner)

@mutation
async def by_hand(ctx: MutationCtx) -> None:
    try:
        raise ValueError("by hand")
    except ValueError as error:
        await posthog.capture_exception(ctx, error, additional_properties={"order": 7})
        raise
"""


def play(scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]], shop: str = SHOP) -> None:
    async def main() -> None:
        app = {"convex_config.py": CONFIG, "shop.py": shop}
        async with convex_test(app, env=ENV) as t, posthog_test(t) as posthog:
            await scenario(t, posthog)

    asyncio.run(main())


async def fails(t: Any, call: str, path: str, **arguments: Any) -> None:
    with pytest.raises((FunctionFailed, ConvexError)):
        await getattr(t, call)(path, **arguments)


def lines(t: ConvexTest) -> list[str]:
    return [line.text for record in t.run_records for line in record.report.lines]


@pytest.mark.parametrize("kind", KINDS)
def test_it_may_change_an_uncaught_error(kind: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, kind, f"shop:in_{kind}", kind="value", text="card 4111")
        (event,) = posthog.exceptions
        properties = event["properties"]
        (first,) = properties["$exception_list"]
        assert first["value"] == "card ****"
        assert first["mechanism"]["handled"] is False
        assert [f["function"] for f in first["stacktrace"]["frames"]] == [f"in_{kind}", "fail"]
        assert properties["seen"]["function"] == f"shop:in_{kind}"
        assert properties["convex_function_type"] == kind
        assert posthog.events == []

    play(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_it_may_drop_an_uncaught_error(kind: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, kind, f"shop:in_{kind}", kind="key", text="k")
        assert posthog.exceptions == []
        assert lines(t) == ["saw 'k'"]

    play(scenario)


def test_a_hook_that_fails_costs_the_report_and_the_call_fails_with_its_own_error() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed, match="breaks the hook"):
            await t.mutation("shop:in_mutation", kind="value", text="breaks the hook")
        assert posthog.exceptions == []
        assert any("before_send failed" in text and "RuntimeError" in text for text in lines(t))

    play(scenario)


def test_it_sees_whose_error_it_is() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t.with_identity(subject="ada"), "query", "shop:looks")
        (event,) = posthog.exceptions
        assert event["distinct_id"] == "ada"
        assert event["properties"]["$session_id"] == "s1"
        assert event["properties"]["seen"] == {
            "person": "ada",
            "function": "shop:looks",
            "session": "s1",
        }
        await fails(t.with_identity(subject="ada"), "query", "shop:in_query", kind="value", text="")
        nobodys = posthog.exceptions[-1]
        assert nobodys["properties"]["$process_person_profile"] is False
        assert nobodys["properties"]["seen"]["person"] == nobodys["distinct_id"] != "ada"

    play(scenario)


def test_what_was_reported_by_hand_is_shown_once() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "mutation", "shop:by_hand")
        (event,) = posthog.exceptions
        assert event["properties"]["order"] == 7
        assert lines(t).count("saw by hand") == 1

    play(scenario)


def test_an_error_that_was_caught_is_not_shown() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:catches")
        assert posthog.exceptions == []
        assert lines(t) == []

    play(scenario)


def test_through_an_action_it_stays_one_event() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "action", "shop:calls")
        (event,) = posthog.exceptions
        assert event["properties"]["seen"]["function"] == "shop:inner"

    play(scenario)


def test_a_raised_convex_error_keeps_its_data() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "mutation", "shop:in_mutation", kind="convex", text="sold out")
        (event,) = posthog.exceptions
        assert event["properties"]["convex_error_data"] == "sold out"
        assert event["properties"]["$exception_list"][0]["mechanism"]["handled"] is True

    play(scenario)


def test_without_a_hook_errors_are_reported_as_before() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "mutation", "shop:in_mutation", kind="key", text="k")
        (event,) = posthog.exceptions
        assert "seen" not in event["properties"]
        assert {item.kind for r in t.run_records for item in r.report.items} == set()

    play(scenario, SHOP.replace(", before_send=before_send", ""))


TAKING = SHOP.replace(
    "posthog = PostHog(components.posthog, before_send=before_send)",
    """
def taking(event):
    for name in ("$session_id", "convex_request_id", "$trace_id"):
        event["properties"].pop(name, None)
    if "person" in event["properties"]:
        event["distinct_id"] = event["properties"].pop("person")
    return event

posthog = PostHog(components.posthog, before_send=taking)

@mutation
async def in_session(ctx: MutationCtx, by_hand: bool) -> None:
    ctx.set_session_id("s1")
    try:
        raise ValueError("no")
    except ValueError as error:
        if by_hand:
            await posthog.capture_exception(ctx, error)
        raise

@query
async def somebodys(ctx: QueryCtx) -> None:
    assert ctx.user_id == "ada"
    try:
        raise ValueError("no")
    except ValueError as error:
        await posthog.capture_exception(ctx, error, additional_properties={"person": "chosen"})
""",
)


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_it_takes_from_an_error_stays_out(by_hand: bool) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "mutation", "shop:in_session", by_hand=by_hand)
        (event,) = posthog.exceptions
        assert "$session_id" not in event["properties"]
        for name in ("convex_request_id", "$trace_id"):  # not shown of what is reported by hand
            assert (name in event["properties"]) is by_hand
        assert event["properties"]["convex_function"] == "shop:in_session"

    play(scenario, TAKING)


def test_the_person_that_it_names_for_an_error_counts() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.with_identity(subject="ada").query("shop:somebodys")
        (event,) = posthog.exceptions
        assert event["distinct_id"] == "chosen"

    play(scenario, TAKING)


def test_what_it_returns_without_properties_is_an_event_all_the_same() -> None:
    bare = "lambda event: {k: v for k, v in event.items() if k != 'properties'}"
    shop = SHOP.replace("before_send=before_send", f"before_send={bare}")

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "mutation", "shop:by_hand")
        (event,) = posthog.exceptions
        assert "$exception_list" not in event["properties"]

    play(scenario, shop)


def test_super_properties_are_on_errors_too_and_before_the_hook() -> None:
    wanted = "super_properties={'service': 'shop', 'order': 8}, before_send=before_send"
    shop = SHOP.replace("before_send=before_send", wanted)

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await fails(t, "mutation", "shop:by_hand")
        await fails(t, "mutation", "shop:in_mutation", kind="value", text="")
        by_hand, uncaught = posthog.exceptions
        assert by_hand["properties"]["service"] == uncaught["properties"]["service"] == "shop"
        assert by_hand["properties"]["order"] == 8

    play(scenario, shop)

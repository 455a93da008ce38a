"""What people write who come from PostHog's SDKs: it works, or the error says what to write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from posthog_convex import PostHog, SendFeatureFlags
from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex import components
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

APP = {
    "convex_config.py": """
from posthog_convex import posthog_component
from pyconvex import define_app
app = define_app(env=posthog_component.declared_env)
app.use(posthog_component, env=app.env)
""",
    "shop.py": """
from datetime import date

from posthog_convex import PostHog
from pyconvex import Document, MutationCtx, QueryCtx, components, mutation, query

posthog = PostHog(components.posthog)


class Order(Document, table="orders"):
    total: float


CALLS = {
    "without ctx": lambda ctx: posthog.capture("ada", "bought"),
    "flag without ctx": lambda ctx: posthog.get_feature_flag("beta", "ada"),
    "error without ctx": lambda ctx: posthog.capture_exception(ValueError("no"), "ada"),
    "remote without ctx": lambda ctx: posthog.evaluate_flag("beta", "ada"),
    "camel case": lambda ctx: posthog.capture(ctx, "bought", distinctId="ada"),
    "unknown": lambda ctx: posthog.get_feature_flag(
        ctx, "beta", distinct_id="ada", only_evaluate_locally=True
    ),
    "all flags": lambda ctx: posthog.capture(
        ctx, "bought", distinct_id="ada", send_feature_flags=True
    ),
    "options": lambda ctx: posthog.capture(
        ctx, "bought", distinct_id="ada",
        send_feature_flags={"flag_keys_filter": ["beta"], "only_evaluate_locally": True},
    ),
    "odd options": lambda ctx: posthog.capture(
        ctx, "bought", distinct_id="ada", send_feature_flags={"keys": ["beta"]}
    ),
    "no options": lambda ctx: posthog.capture(
        ctx, "bought", distinct_id="ada", send_feature_flags=["beta"]
    ),
    "text of none": lambda ctx: posthog.capture(ctx, "bought", distinct_id=f"{ctx.user_id}"),
    "seconds": lambda ctx: posthog.capture(ctx, "bought", timestamp=1764201600.5),
    "day": lambda ctx: posthog.capture(ctx, "bought", timestamp=date(2026, 11, 26)),
    "flush": lambda ctx: posthog.flush(),
}


@mutation
async def call(ctx: MutationCtx, what: str) -> None:
    await CALLS[what](ctx)


@mutation
async def order(ctx: MutationCtx) -> None:
    id = await ctx.db.insert(Order(total=9.5))
    stored = await ctx.db.get(id)
    await posthog.capture(ctx, "ordered", properties={"order": stored})
    await posthog.capture(ctx, "ordered", properties=stored)
""",
}


def play(scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test(APP, env=ENV) as t, posthog_test(t) as posthog:
            await posthog.set_flag("beta", "variant-a")
            await posthog.set_flag("other")
            await scenario(t, posthog)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("without ctx", "takes the function's ctx first, not str: await posthog.capture(ctx, …)"),
        ("flag without ctx", "await posthog.get_feature_flag(ctx, …)"),
        ("error without ctx", "not ValueError: await posthog.capture_exception(ctx, …)"),
        ("remote without ctx", "await posthog.evaluate_flag(ctx, …)"),
        ("camel case", "unexpected keyword argument 'distinctId'; here it is 'distinct_id'"),
        ("unknown", "'only_evaluate_locally'; there are distinct_id, groups"),
        ("odd options", "send_feature_flags has no 'keys'; there are person_properties"),
        ("no options", "send_feature_flags must be True, False or SendFeatureFlags(…), not list"),
        ("seconds", "timestamp must be a datetime or ISO text, not float"),
        ("day", "timestamp must be a datetime or ISO text, not date"),
        ("flush", "PostHog has no 'flush': nobody needs to"),
    ],
)
def test_the_error_says_what_to_write(what: str, told: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed) as caught:
            await t.mutation("shop:call", what=what)
        assert told in str(caught.value.__cause__)
        assert posthog.events == []

    play(scenario)


@pytest.mark.parametrize(("what", "flags"), [("all flags", 2), ("options", 1)])
def test_flags_of_an_event_as_the_python_sdk_has_them(what: str, flags: int) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:call", what=what)
        (event,) = posthog.events
        assert event["properties"]["$feature/beta"] == "variant-a"
        assert len(event["properties"]["$active_feature_flags"]) == flags

    play(scenario)


def test_a_document_is_its_fields() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:order")
        within, whole = posthog.events
        assert within["properties"]["order"]["total"] == 9.5
        assert within["properties"]["order"]["_id"] == whole["properties"]["_id"]
        assert whole["properties"]["total"] == 9.5

    play(scenario)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shutdown", "nobody needs to"),
        ("feature_enabled", "here it is 'is_feature_enabled'"),
        ("getFeatureFlag", "did you mean 'get_feature_flag'?"),
        ("captur", "did you mean 'capture'?"),
        ("zzz", "it has alias, capture"),
    ],
)
def test_a_method_that_is_none(name: str, told: str) -> None:
    posthog: Any = PostHog(components.posthog)
    assert not hasattr(posthog, name)
    with pytest.raises(AttributeError) as caught:
        getattr(posthog, name)
    assert str(caught.value).startswith(f"PostHog has no {name!r}")
    assert told in str(caught.value)


def test_the_options_of_an_events_flags() -> None:
    wanted = SendFeatureFlags(flag_keys=["a"], person_properties={"plan": "pro"})
    assert SendFeatureFlags.of(wanted) is wanted
    assert SendFeatureFlags.of(True) == SendFeatureFlags()
    given = {"flag_keys": ["a"], "person_properties": {"plan": "pro"}}
    assert SendFeatureFlags.of(given) == wanted


def test_a_missing_id_that_became_text_is_a_warning_once() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:call", what="text of none")
        await t.mutation("shop:call", what="text of none")
        assert [event["distinct_id"] for event in posthog.events] == ["None", "None"]
        (line,) = t.log_lines
        assert "may be a missing one that became text" in line
        await t.with_identity(subject="ada").mutation("shop:call", what="text of none")
        assert posthog.events[-1]["distinct_id"] == "ada"

    play(scenario)


def test_a_client_is_made_of_the_mounted_component() -> None:
    made: Any = PostHog
    with pytest.raises(TypeError, match=r"not str: PostHog\(components.posthog\)"):
        made("phc_abc")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("host", "are variables of the deployment"),
        ("beforeSend", "here it is 'before_send'"),
        ("flush_at", "nothing need be flushed"),
    ],
)
def test_an_option_that_is_none(name: str, told: str) -> None:
    made: Any = PostHog
    with pytest.raises(TypeError) as caught:
        made(components.posthog, **{name: 1})
    assert str(caught.value).startswith(f"PostHog(…) has no option {name!r}")
    assert told in str(caught.value)

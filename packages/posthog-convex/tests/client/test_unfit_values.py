"""What depends on an app's data never makes its functions fail: values and sizes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

APP = {
    "convex_config.py": """
from posthog_convex import posthog_component
from pyconvex import define_app
app = define_app(env=posthog_component.declared_env)
app.use(posthog_component, env=app.env)
""",
    "shop.py": """
from posthog_convex import PostHog
from pyconvex import ActionCtx, MutationCtx, QueryCtx, action, components, mutation, query

posthog = PostHog(components.posthog)
cycle = {}
cycle["one"] = cycle["two"] = cycle
ODD = {
    "ratio": float("nan"), "raw": b"1", "fine": {"list": [1, float("inf"), {5: "five"}]},
    "cycle": cycle, "call": print,
}
LARGE = {"text": "x" * 1_000_000}
CALLS = {
    "capture": lambda ctx, odd: posthog.capture(ctx, "e", distinct_id="ada", properties=odd),
    "set": lambda ctx, odd: posthog.set(ctx, odd, distinct_id="ada"),
    "set_once": lambda ctx, odd: posthog.set_once(ctx, odd, distinct_id="ada"),
    "identify": lambda ctx, odd: posthog.identify(
        ctx, distinct_id="ada", properties=odd, set_once=odd
    ),
    "group_identify": lambda ctx, odd: posthog.group_identify(
        ctx, "company", "acme", properties=odd
    ),
    "capture_exception": lambda ctx, odd: posthog.capture_exception(
        ctx, ValueError("no"), additional_properties=odd
    ),
}

@mutation
async def in_mutation(ctx: MutationCtx, what: str, large: bool = False) -> str:
    return await CALLS[what](ctx, LARGE if large else ODD)

@action
async def in_action(ctx: ActionCtx, what: str, large: bool = False) -> str:
    return await CALLS[what](ctx, LARGE if large else ODD)

@query
async def flag(ctx: QueryCtx, key: str) -> bool | str | None:
    return await posthog.get_feature_flag(
        ctx, key, distinct_id="ada", default="default", groups={"company": "acme"},
        person_properties=ODD, group_properties={"company": ODD},
    )

@query
async def fails(ctx: QueryCtx) -> None:
    raise ValueError("card 4111")
""",
}
MADE = {
    "ratio": None,
    "raw": None,
    "fine": {"list": [1, None, {"5": "five"}]},
    "cycle": None,
    "call": None,
}
WHERE = {"set": "$set", "set_once": "$set_once", "identify": "$set"}


def play(
    scenario: Callable[[ConvexTest, PostHogTest], Awaitable[None]], app: dict[str, str] = APP
) -> None:
    async def main() -> None:
        async with convex_test(app, env=ENV) as t, posthog_test(t) as posthog:
            await scenario(t, posthog)

    asyncio.run(main())


def properties_of(what: str, event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event.get(WHERE[what]) if what in WHERE else event["properties"]
    return found["$group_set"] if what == "group_identify" else found


@pytest.mark.parametrize("kind", ["mutation", "action"])
@pytest.mark.parametrize(
    "what", ["capture", "set", "set_once", "identify", "group_identify", "capture_exception"]
)
def test_what_has_no_json_form_becomes_null_with_a_warning(what: str, kind: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        uuid = await getattr(t, kind)(f"shop:in_{kind}", what=what)
        (event,) = posthog.exceptions if what == "capture_exception" else posthog.events
        assert event["uuid"] == uuid
        assert properties_of(what, event).items() >= MADE.items()
        if what == "identify":
            assert event["$set_once"] == MADE
        lines = "\n".join(t.log_lines).replace("\\'", "'")
        assert "['ratio'] is nan: JSON has no such number, pass None instead. It is sent" in lines
        assert "is of type bytes" in lines
        assert "is it a cycle?" in lines
        before = len(t.log_lines)
        await getattr(t, kind)(f"shop:in_{kind}", what=what)
        assert len(t.log_lines) == before, "each is told once"

    play(scenario)


@pytest.mark.parametrize("kind", ["mutation", "action"])
def test_an_event_that_is_too_large_is_not_sent_and_the_function_goes_on(kind: str) -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        assert await getattr(t, kind)(f"shop:in_{kind}", what="capture", large=True)
        assert posthog.events == []
        (line,) = t.log_lines
        assert "more than the 921600 that PostHog takes" in line
        assert "It is not sent." in line

    play(scenario)


def test_an_error_is_reported_without_properties_that_are_too_large() -> None:
    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await t.mutation("shop:in_mutation", what="capture_exception", large=True)
        (event,) = posthog.exceptions
        assert event["properties"]["$exception_list"][0]["value"] == "no"
        assert "text" not in event["properties"]
        assert "additional_properties are left out" in t.log_lines[0]

    play(scenario)


def test_an_error_that_a_hook_made_too_large_is_not_sent_unhooked() -> None:
    grows = "lambda event: {**event, 'properties': {'text': 'x' * 1_000_000}}"
    shop = APP["shop.py"].replace(
        "PostHog(components.posthog)", f"PostHog(components.posthog, before_send={grows})"
    )

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.query("shop:fails")
        assert posthog.exceptions == []

    play(scenario, {**APP, "shop.py": shop})


def test_a_flag_is_asked_without_them() -> None:
    wanted = {"properties": [{"key": "ratio", "value": "1", "operator": "exact"}]}
    needing = {"active": True, "filters": {"groups": [wanted]}}

    async def scenario(t: ConvexTest, posthog: PostHogTest) -> None:
        await posthog.set_flag("on")
        await posthog.set_flag("needing", definition=needing)
        assert await t.query("shop:flag", key="on") is True
        assert await t.query("shop:flag", key="needing") == "default"
        assert "property 'ratio' was not passed".replace("\\", "") in t.log_lines[-1].replace(
            "\\", ""
        )

    play(scenario)

"""Events, errors and exposures are of the session that the run belongs to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from posthog_convex.testing import ENV, PostHogTest, posthog_test
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

APP = {
    "convex_config.py": """
from posthog_convex import posthog_component
from pyconvex import define_app, v
app = define_app(env={"POSTHOG_PROJECT_TOKEN": v.string()}, session_header="x-posthog-session-id")
app.use(posthog_component, env=app.env)
""",
    "shop.py": """
from posthog_convex import PostHog
from pyconvex import ActionCtx, MutationCtx, QueryCtx, action, components, mutation, query
posthog = PostHog(components.posthog)

@mutation
async def order(ctx: MutationCtx, session: str | None = None) -> None:
    ctx.set_session_id(session)
    await posthog.capture(ctx, "ordered", distinct_id="ada")
    await posthog.capture(ctx, "own", distinct_id="ada", properties={"$session_id": "other"})

@action
async def pay(ctx: ActionCtx, session: str) -> None:
    ctx.set_session_id(session)
    await posthog.capture(ctx, "paid", distinct_id="ada")
    try:
        raise ValueError("declined")
    except ValueError as error:
        await posthog.capture_exception(ctx, error, distinct_id="ada")
    raise KeyError("gone")

@query
async def look(ctx: QueryCtx, session: str) -> None:
    ctx.set_session_id(session)
    raise ValueError("no")
""",
}


def session_of(event: dict[str, Any]) -> str | None:
    found: str | None = event["properties"].get("$session_id")
    return found


def test_what_a_run_reports_is_of_its_session() -> None:
    async def main() -> None:
        async with convex_test(APP, env=ENV) as t, posthog_test(t) as posthog:
            await t.mutation("shop:order", session="s1")
            await t.mutation("shop:order")
            sessions = [(event["event"], session_of(event)) for event in posthog.events]
            assert sessions == [
                ("ordered", "s1"), ("own", "other"), ("ordered", None), ("own", "other")
            ]  # fmt: skip
            await _fails(t, posthog)

    asyncio.run(main())


async def _fails(t: ConvexTest, posthog: PostHogTest) -> None:
    with pytest.raises(FunctionFailed):
        await t.action("shop:pay", session="s2")
    assert session_of(posthog.events[-1]) == "s2"
    with pytest.raises(FunctionFailed):
        await t.query("shop:look", session="s3")
    assert [session_of(event) for event in posthog.exceptions] == ["s2", "s2", "s3"]

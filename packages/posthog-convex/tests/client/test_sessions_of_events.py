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

READS = """
@query
async def flag(ctx: QueryCtx, person: str, session: str | None = None) -> bool | str | None:
    read = await posthog.get_feature_flag(ctx, "beta", distinct_id=person)
    if session is not None:
        ctx.set_session_id(session)
    return read

@http_action
async def page(ctx, request):
    person = request.query["person"]
    return Response.json(await ctx.run_query(flag, person=person))

http = http_router()
http.route(path="/page", method="GET", handler=page)
"""
#: Hooks see an exposure when the flag is read, maybe before the session is known.
HOOKS = """
def before_send(event):
    event["properties"]["hooked"] = True
    if event["distinct_id"] == "private":
        event["properties"].pop("$session_id", None)
    return event
posthog = PostHog(components.posthog, before_send=before_send)
"""


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


@pytest.mark.parametrize("hooks", ["", HOOKS], ids=["plain", "hooked"])
def test_exposures_of_queries_are_of_the_session_that_the_query_named(hooks: str) -> None:
    async def main() -> None:
        async with convex_test(_reading(hooks), env=ENV) as t, posthog_test(t) as posthog:
            await posthog.set_flag("beta")
            assert await t.query("shop:flag", person="ada", session="s1") is True
            assert await t.query("shop:flag", person="ben") is True
            assert [(e["distinct_id"], session_of(e)) for e in posthog.exposures] == [
                ("ada", "s1"),
                ("ben", None),
            ]
            assert all(
                e["properties"].get("hooked", False) is bool(hooks) for e in posthog.exposures
            )

    asyncio.run(main())


@pytest.mark.parametrize("hooks", ["", HOOKS], ids=["plain", "hooked"])
def test_exposures_of_queries_are_of_the_session_that_the_header_named(hooks: str) -> None:
    async def main() -> None:
        async with convex_test(_reading(hooks), env=ENV) as t, posthog_test(t) as posthog:
            await posthog.set_flag("beta")
            for person, session in (("ada", "s1"), ("ben", "s2")):
                answer = await t.fetch(
                    f"/page?person={person}", headers={"x-posthog-session-id": session}
                )
                assert answer.json() is True
            assert [(e["distinct_id"], session_of(e)) for e in posthog.exposures] == [
                ("ada", "s1"),
                ("ben", "s2"),
            ]

    asyncio.run(main())


def test_a_session_that_a_hook_took_out_stays_out() -> None:
    shop = (
        HOOKS
        + """
@mutation
async def read(ctx: MutationCtx) -> None:
    ctx.set_session_id("s1")
    await posthog.get_feature_flag(ctx, "beta", distinct_id="private")
"""
    )

    async def main() -> None:
        async with convex_test(_reading(shop), env=ENV) as t, posthog_test(t) as posthog:
            await posthog.set_flag("beta")
            await t.mutation("shop:read")
            (event,) = posthog.exposures
            assert session_of(event) is None

    asyncio.run(main())


def _reading(more: str) -> dict[str, str]:
    """The app, whose http.py is the same file: it reads a flag in a query."""
    imports = "from pyconvex import Response, http_action, http_router\n"
    shop = imports + APP["shop.py"] + more + READS
    return {**APP, "shop.py": shop, "http.py": "from .shop import http\n"}


async def _fails(t: ConvexTest, posthog: PostHogTest) -> None:
    with pytest.raises(FunctionFailed):
        await t.action("shop:pay", session="s2")
    assert session_of(posthog.events[-1]) == "s2"
    with pytest.raises(FunctionFailed):
        await t.query("shop:look", session="s3")
    assert [session_of(event) for event in posthog.exceptions] == ["s2", "s2", "s3"]

"""The session of the caller's analytics: from a header or the function, in runs and reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pyconvex import define_app
from pyconvex.functions import DefinitionError
from pyconvex.identity.session import is_session_id, session_id_in
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

APP = {
    "convex_config.py": """
from pyconvex import define_app
app = define_app(session_header="X-PostHog-Session-Id")
""",
    "shop.py": """
import asyncio
from pyconvex import *

@query
async def seen(ctx: QueryCtx, session: str | None = None) -> str | None:
    if session is not None:
        ctx.set_session_id(session)
    return ctx.session_id

@mutation
async def order(ctx: MutationCtx, session: str | None = None) -> str | None:
    if session is not None:
        ctx.set_session_id(session)
        assert await ctx.run_query(seen) == session
    return ctx.session_id

@action
async def work(ctx: ActionCtx, session: str | None = None) -> list[str | None]:
    if session is not None:
        ctx.set_session_id(session)
    print("working")
    await asyncio.sleep(0.05)
    return [ctx.session_id, await ctx.run_mutation(order), await ctx.run_query(seen)]

@action
async def falls(ctx: ActionCtx) -> None:
    ctx.set_session_id("s7")
    raise ValueError("no")
""",
    "http.py": """
from pyconvex import *
from pyconvex import http_action, http_router
from .shop import work

@http_action
async def hook(ctx, request):
    return Response.json(await ctx.run_action(work))

http = http_router()
http.route(path="/hook", method="POST", handler=hook)
""",
}


def play(test: Callable[[ConvexTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test(APP) as t:
            await test(t)

    asyncio.run(main())


def sessions(t: ConvexTest) -> list[tuple[str, str | None]]:
    return [(record.path, record.report.session_id) for record in t.run_records]


@pytest.mark.parametrize("path", ["shop:seen", "shop:order"])
def test_what_a_function_says_holds_for_its_run_and_its_report(path: str) -> None:
    async def test(t: ConvexTest) -> None:
        run = t.query if path == "shop:seen" else t.mutation
        assert await run(path) is None
        assert await run(path, session="s1") == "s1"
        assert sessions(t) == [(path, None), (path, "s1")]

    play(test)


def test_an_action_says_it_for_its_own_lines_also_while_it_runs() -> None:
    async def test(t: ConvexTest) -> None:
        assert await t.with_identity(subject="ada").action("shop:work", session="s2") == [
            "s2",
            None,
            None,
        ]
        told = [r for r in t.run_records if r.going_on]
        assert [(r.report.session_id, r.report.user_id) for r in told] == [("s2", "ada")]

    play(test)


def test_the_header_goes_along_with_what_an_action_calls_and_queries_dont_see_it() -> None:
    async def test(t: ConvexTest) -> None:
        headers = {"x-posthog-session-id": "s3"}
        answer = await t.fetch("/hook", method="POST", headers=headers)
        assert answer.json() == ["s3", "s3", None]
        ended = dict(sessions(t))
        assert ended == {
            "POST /hook": "s3", "shop:work": "s3", "shop:order": "s3", "shop:seen": "s3"
        }  # fmt: skip

    play(test)


def test_each_caller_of_a_kept_result_is_told_of_with_its_own_session() -> None:
    async def test(t: ConvexTest) -> None:
        for session in ("s4", "s5"):
            answer = await t.fetch(
                "/hook", method="POST", headers={"x-posthog-session-id": session}
            )
            assert answer.status == 200
        seen = [(r.cached, r.report.session_id) for r in t.run_records if r.path == "shop:seen"]
        assert seen == [(False, "s4"), (True, "s5")]

    play(test)


def test_a_session_that_a_query_named_is_that_of_all_who_get_its_result() -> None:
    async def test(t: ConvexTest) -> None:
        for _ in range(2):
            assert await t.query("shop:seen", session="s6") == "s6"
        assert [(r.cached, r.report.session_id) for r in t.run_records] == [
            (False, "s6"),
            (True, "s6"),
        ]

    play(test)


def test_an_error_and_its_run_have_the_session() -> None:
    async def test(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.action("shop:falls")
        assert sessions(t) == [("shop:falls", "s7")]

    play(test)


@pytest.mark.parametrize("wrong", ["", "two words", "a" * 201, "ü", "a\n"])
def test_what_is_no_id_is_refused(wrong: str) -> None:
    async def test(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="session id"):
            await t.mutation("shop:order", session=wrong)

    assert not is_session_id(wrong)
    assert session_id_in(wrong.strip() and wrong) in ("", "a")
    play(test)


@pytest.mark.parametrize("header", ["Authorization", "cookie", "no header", ""])
def test_a_header_that_is_none_or_a_secret_is_no_session_header(header: str) -> None:
    with pytest.raises(DefinitionError, match="session_header"):
        define_app(session_header=header)

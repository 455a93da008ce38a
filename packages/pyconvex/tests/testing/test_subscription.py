"""Following a query: what wakes it, what it hands out, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pyconvex.testing import ConvexTest, FunctionFailed, subscription

Run = Callable[..., None]


def test_results_follow_commits(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        texts = t.subscribe("notes:texts")
        assert await anext(texts) == []
        await t.mutation("notes:add", text="a")
        assert await anext(texts) == ["a"]
        await t.mutation("notes:add", text="b")
        await t.mutation("notes:add", text="c")
        assert await anext(texts) == ["a", "b", "c"]  # the newest alone
        assert texts.runs == 3

    testing(scenario)


def test_what_was_not_read_wakes_nobody(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        await t.mutation("notes:add", text="b")
        async with t.subscribe("notes:stars", text="a") as stars:
            assert await anext(stars) == 0
            await t.mutation("notes:star", text="b")
            assert not stars.stale
            await t.mutation("notes:star", text="a")
            assert stars.stale
            assert await anext(stars) == 1

    testing(scenario)


def test_an_equal_result_is_not_handed_out(testing: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyconvex.testing import caller

    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        texts = t.subscribe("notes:texts")
        assert await anext(texts) == ["a"]
        await t.mutation("notes:star", text="a")
        assert texts.stale
        with monkeypatch.context() as patched:
            patched.setattr(caller, "PATIENCE_S", 0.05)
            with pytest.raises(TimeoutError, match="No new result of notes:texts within"):
                await anext(texts)
        assert texts.runs == 2
        await t.mutation("notes:add", text="b")
        assert await anext(texts) == ["a", "b"]

    testing(scenario)


def test_a_waiting_follower_is_woken(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        texts = t.subscribe("notes:texts")
        await anext(texts)
        waiting = asyncio.ensure_future(anext(texts))
        await t.mutation("notes:add", text="a")
        assert await waiting == ["a"]

    testing(scenario)


def test_a_failure_is_raised_and_does_not_end_it(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        stars = t.subscribe("notes:stars", text="a")
        with pytest.raises(FunctionFailed) as caught:
            await anext(stars)
        assert isinstance(caught.value.__cause__, LookupError)
        await t.mutation("notes:add", text="a", stars=3)
        assert await anext(stars) == 3

    testing(scenario)


def test_it_ends_when_closed_also_for_who_waits(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        texts = t.subscribe("notes:texts")
        await anext(texts)
        waiting = asyncio.ensure_future(anext(texts, "ended"))
        await asyncio.sleep(0)
        await texts.aclose()
        await texts.aclose()
        assert await waiting == "ended"
        assert not t.engine.host.queries._entries  # nobody watches any more
        assert [result async for result in texts] == []

    testing(scenario)


def test_two_followers_share_an_execution(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        one, two = t.subscribe("notes:talk"), t.subscribe("notes:talk")
        await asyncio.gather(anext(one), anext(two))
        assert one._last is two._last

    testing(scenario)


def test_patience_is_long_enough_to_read_the_message() -> None:
    assert subscription.PATIENCE_S >= 1

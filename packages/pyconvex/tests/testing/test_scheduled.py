"""Scheduled functions and cron jobs in the kit: what `drain` and `advance` do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from pyconvex import ConvexError
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test
from pyconvex.testing import deployment as deployment_module

APP = """
import asyncio
import time
from typing import Any

from pyconvex import *


class Entry(Document, table="entries"):
    text: str
    at: float


@mutation
async def write(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Entry(text=text, at=time.time()))


@mutation
async def plan(ctx: MutationCtx, delays: dict[str, float]) -> None:
    for text, delay in delays.items():
        await ctx.scheduler.run_after(delay, write, text)


@mutation
async def chain(ctx: MutationCtx, length: int, delay: float = 0.0) -> None:
    await write(ctx, str(length))
    if length:
        await ctx.scheduler.run_after(delay, chain, length - 1, delay)


@mutation
async def fail(ctx: MutationCtx, number: int) -> None:
    raise ConvexError({"number": number})


@mutation
async def plan_failures(ctx: MutationCtx, count: int) -> None:
    for number in range(count):
        await ctx.scheduler.run_after(0, fail, number)


@action
async def hang(ctx: ActionCtx) -> None:
    await asyncio.Event().wait()


@mutation
async def plan_hanging(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(0, hang)


@query
async def entries(ctx: QueryCtx) -> list[Any]:
    return [[entry.text, entry.at] async for entry in ctx.db.query(Entry)]
"""

START = datetime(2026, 1, 1, tzinfo=UTC)


def scene(scenario: Callable[[ConvexTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test({"lib.py": APP}, now=START) as t:
            await scenario(t)

    asyncio.run(main())


async def texts(t: ConvexTest) -> list[str]:
    return [text for text, _ in await t.query("lib:entries")]


def test_each_function_runs_at_its_time() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:plan", delays={"c": 30.0, "a": 10.0, "b": 20.0, "d": 60.0})
        await t.advance(45)
        entries = await t.query("lib:entries")
        assert [text for text, _ in entries] == ["a", "b", "c"]
        start = START.timestamp()
        assert [round(at - start) for _, at in entries] == [10, 20, 30]
        assert t.now_ms == pytest.approx(start * 1000 + 45_000, abs=50)

    scene(scenario)


def test_advancing_follows_what_functions_schedule() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:chain", length=5, delay=10.0)
        await t.advance(35)
        assert await texts(t) == ["5", "4", "3", "2"]
        await t.advance(1000)
        assert await texts(t) == ["5", "4", "3", "2", "1", "0"]

    scene(scenario)


def test_draining_runs_only_what_is_due() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:plan", delays={"now": 0.0, "later": 1.0})
        await t.mutation("lib:chain", length=3)
        await t.drain()
        assert sorted(await texts(t)) == ["0", "1", "2", "3", "now"]
        assert [job["state"]["kind"] for job in t.scheduled()].count("pending") == 1

    scene(scenario)


def test_a_function_that_schedules_itself_for_ever_is_named() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:chain", length=300)
        with pytest.raises(RuntimeError, match=r"More than 50 .*Most often ran lib:chain"):
            await t.drain(max_runs=50)
        with pytest.raises(RuntimeError, match="More than 50 scheduled functions were due"):
            await t.advance(1, max_runs=50)
        await t.drain(max_runs=10_000)
        await t.mutation("lib:chain", length=100, delay=1.0)
        with pytest.raises(RuntimeError, match="More than 50 scheduled functions were due"):
            await t.advance(80, max_runs=50)

    scene(scenario)


@pytest.mark.parametrize("wait", ["drain", "advance"])
def test_failures_are_raised_once(wait: str) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:plan_failures", count=3)
        with pytest.raises(ConvexError) as failed:
            await (t.drain() if wait == "drain" else t.advance(1))
        assert failed.value.data in [{"number": n} for n in range(3)]
        assert failed.value.__notes__ == [
            "This is the scheduled mutation lib:fail, and 2 more failed."
        ]
        await t.drain()
        await t.mutation("lib:plan_failures", count=1)
        await t.drain(raise_failures=False)
        await t.drain()
        await t.mutation("lib:plan_failures", count=1)
        await t.advance(1, raise_failures=False)
        await t.drain()

    scene(scenario)


def test_a_function_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment_module, "DRAIN_PATIENCE_S", 0.2)

    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:plan_hanging")
        with pytest.raises(TimeoutError, match=r"Still under way after 0.2 s: lib:hang"):
            await t.drain()
        with pytest.raises(TimeoutError, match="lib:hang"):
            await t.advance(1)

    scene(scenario)


def test_the_clock_does_not_go_back() -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(ValueError, match="can't go back"):
            await t.advance(-1)

    scene(scenario)


def test_scheduled_failures_carry_their_cause() -> None:
    async def scenario(t: ConvexTest) -> None:
        async def schedule(ctx: object) -> None:
            await ctx.scheduler.run_after(0, text_of(t))  # type: ignore[attr-defined]

        await t.run(schedule)
        with pytest.raises(FunctionFailed) as failed:
            await t.drain()
        assert isinstance(failed.value.__cause__, ZeroDivisionError)

    def text_of(t: ConvexTest) -> object:
        return t.engine.image.components[""].functions["lib:divide"]

    async def main() -> None:
        divide = "\n@mutation\nasync def divide(ctx: MutationCtx) -> None:\n    1 / 0\n"
        async with convex_test({"lib.py": APP + divide}) as t:
            await scenario(t)

    asyncio.run(main())

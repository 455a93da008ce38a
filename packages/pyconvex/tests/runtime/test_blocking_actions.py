"""Actions that are plain functions: in threads, beside each other, with the same rules."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from host_bench import Deployment, until

from pyconvex.runtime.calls import Failure, Success
from pyconvex.runtime.isolates import action_isolates, isolate_process
from pyconvex.runtime.running import limits
from pyconvex.runtime.running.threads import LeftBehind, in_thread
from pyconvex.testing import FunctionFailed, convex_test
from pyconvex.values import codec

APP = """
import os, threading, time
from pyconvex import *

@query
async def total(ctx: QueryCtx) -> int:
    return sum([int(row["n"]) for row in await ctx.db.query("numbers").collect()])

@internal_mutation
async def add(ctx: MutationCtx, n: int) -> int:
    await ctx.db.insert("numbers", {"n": n})
    return n

@internal_mutation
async def refuse(ctx: MutationCtx) -> None:
    raise ConvexError({"code": "NO"})

@action
def adds(ctx: BlockingActionCtx, n: int) -> int:
    print("adding", n)
    assert ctx.run_mutation(add, n=n) == n
    ctx.run_mutation(internal.lib.add, {"n": 1})
    return ctx.run_query(total)

@action
async def outer(ctx: ActionCtx) -> int:
    return await ctx.run_action(adds, 5)

@action
def outer_of_all(ctx: BlockingActionCtx) -> int:
    return ctx.run_action(outer)

async def helper(ctx: ActionCtx, n: int) -> int:
    return await ctx.run_mutation(add, n)

@action
def helped(ctx: BlockingActionCtx) -> int:
    return ctx.run_async(helper, n=7)

@action
def about(ctx: BlockingActionCtx) -> list[str | None]:
    return [ctx.function_name, ctx.user_id, str(ctx.auth.get_user_identity()), ctx.env.get("A"),
            os.environ.get("A"), str(threading.current_thread() is threading.main_thread())]

@action
def catches(ctx: BlockingActionCtx) -> str:
    try:
        ctx.run_mutation(refuse)
    except ConvexError as error:
        return f"data {error.data}"

@action
def fails(ctx: BlockingActionCtx) -> None:
    raise KeyError("the cupboard")

@action
def stops(ctx: BlockingActionCtx) -> None:
    raise StopIteration(5)

@action
def wrong_result(ctx: BlockingActionCtx) -> int:
    return "five"

@action
def later(ctx: BlockingActionCtx) -> str | None:
    return ctx.scheduler.run_after(0, add, n=3)

@action
def sleeps(ctx: BlockingActionCtx, seconds: float) -> str:
    time.sleep(seconds)
    return "slept"

@action
async def quick(ctx: ActionCtx) -> int:
    return os.getpid()
"""

Deployed = Callable[..., None]


def value(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


def message(outcome: Any) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.message


def test_it_calls_and_is_called(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        outcome = await d.action("lib:adds", {"n": 2})
        assert (value(outcome), outcome.log_lines) == (3, ("[LOG] 'adding 2'",))
        assert value(await d.action("lib:outer_of_all")) == 9
        assert value(await d.action("lib:helped")) == 7
        assert value(await d.action("lib:catches")) == "data {'code': 'NO'}"
        text = message(await d.action("lib:fails"))
        assert text.startswith("Uncaught KeyError: 'the cupboard'\n    at fails (")
        assert "StopIteration(5)" in message(await d.action("lib:stops"))
        assert "ReturnsValidationError" in message(await d.action("lib:wrong_result"))
        assert value(await d.action("lib:about")) == [
            "lib:about", None, "None", None, None, "False",
        ]  # fmt: skip

    deployed(scenario)


def test_what_blocks_holds_nobody_up(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        sleeping = asyncio.create_task(d.action("lib:sleeps", {"seconds": 1.0}))
        await until(lambda: action_runs(d))
        [isolate] = action_runs(d)
        assert value(await d.action("lib:quick")) == isolate.pid, "in the same process"
        assert not sleeping.done()
        assert value(await sleeping) == "slept"

    deployed(scenario)


def test_one_over_the_limit_ends_and_its_isolate_takes_no_more(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 0.2)
        text = message(await d.action("lib:sleeps", {"seconds": 30.0}))
        assert "Action lib:sleeps timed out" in text
        monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 600.0)
        await until(lambda: not any(i.actions for i in d.pools[0]._isolates.values()))
        assert value(await d.action("lib:adds", {"n": 1})) == 2

    deployed(scenario)


def test_one_that_is_told_to_stop_before_its_first_step_has_ended(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        pid = int(value(await d.action("lib:quick")))
        os.kill(pid, signal.SIGSTOP)  # a machine that is busy with something else
        try:
            monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 0.0)
            late = asyncio.create_task(d.action("lib:sleeps", {"seconds": 30.0}))
            await until(lambda: any(run.verdict for i in action_runs(d) for run in i.runs.values()))
            monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 600.0)
            monkeypatch.setattr(action_isolates, "GRACE_S", 600.0)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert "Action lib:sleeps timed out" in message(await late)
        assert value(await d.action("lib:quick")) == pid, "nothing of it is left in the process"

    deployed(scenario)


def action_runs(d: Deployment) -> list[isolate_process.Isolate]:
    return [i for i in d.pools[0]._isolates.values() if i.actions and i.runs]


def test_it_runs_in_a_tests_process_too() -> None:
    async def main() -> None:
        async with convex_test({"lib.py": APP}, env={"A": "1"}) as t:
            assert await t.action("lib:adds", n=2) == 3
            ada = t.with_identity(subject="ada")
            assert (await ada.action("lib:about"))[1] == "ada"
            assert (await t.action("lib:about"))[3:] == ["1", "1", "False"]
            with pytest.raises(FunctionFailed, match="the cupboard"):
                await t.action("lib:fails")
            assert await t.action("lib:later")
            await t.drain()
            assert await t.query("lib:total") == 6

    asyncio.run(main())


# Threads


def test_a_thread_that_is_left_behind_can_call_nothing() -> None:
    entered, leave = threading.Event(), threading.Event()
    told: list[BaseException] = []
    ended = threading.Event()

    async def nothing() -> None: ...

    def work(wait: Any) -> None:
        wait(nothing())
        entered.set()
        leave.wait()
        try:
            wait(nothing())
        except LeftBehind as error:
            told.append(error)
        finally:
            ended.set()

    async def main() -> None:
        task = asyncio.create_task(in_thread(work, "lib:slow"))
        while not entered.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        while not ended.is_set():
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert "Action lib:slow has ended" in str(told[0])


def test_a_loop_that_is_closed_is_no_error() -> None:
    leave = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(in_thread(lambda wait: leave.wait(), "lib:slow"))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    leave.set()
    deadline = time.monotonic() + 60
    while any(thread.name == "lib:slow" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)

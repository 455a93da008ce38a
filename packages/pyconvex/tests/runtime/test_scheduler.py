"""Scheduled functions in real isolates: by themselves, through crashes, deploys and restarts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_bench import Deployment, until

from pyconvex.database import jobs
from pyconvex.runtime.calls import Success
from pyconvex.values import codec

Deployed = Callable[..., None]

LIB = """
import os
import time
from pathlib import Path
from typing import Any

from pyconvex import *

FOLDER = Path({folder!r})


class Row(Document, table="rows"):
    text: str


class Total(Document, table="totals"):
    count: int


@internal_mutation
async def write(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Row(text=text))


@mutation
async def write_now(ctx: MutationCtx, text: str) -> None:
    await write(ctx, text)


@internal_mutation
async def count(ctx: MutationCtx) -> None:
    total = await ctx.db.query(Total).first()
    if total is None:
        await ctx.db.insert(Total(count=1))
    else:
        await ctx.db.patch(total._id, {{"count": total.count + 1}})


@internal_mutation
async def spin(ctx: MutationCtx) -> None:
    while True:
        pass


@internal_mutation
async def write_slowly(ctx: MutationCtx, text: str) -> None:
    sum(range(2_000_000))
    await ctx.db.insert(Row(text=text))


@internal_mutation
async def crash(ctx: MutationCtx) -> None:
    os._exit(3)


def mark(name: str) -> None:
    with open(FOLDER / name, "a") as file:
        file.write(f"{{os.getpid()}}\\n")


@internal_action
async def act(ctx: ActionCtx, name: str, wait: bool = False) -> None:
    mark(name)
    while wait and not (FOLDER / "go").exists():
        await asyncio.sleep(0.01)
    await ctx.run_mutation(write, text=name)


@mutation
async def schedule(ctx: MutationCtx, name: str, args: Any, delay: float, times: int = 1) -> None:
    for _ in range(times):
        await ctx.scheduler.run_after(delay, getattr(api.lib, name), args)


@mutation
async def schedule_with_retry(ctx: MutationCtx, name: str) -> None:
    retry = Retry(max_attempts=3, initial_backoff_s=0.01)
    await ctx.scheduler.with_retry(retry).run_after(0, act, name, wait=True)


@mutation
async def cancel_all(ctx: MutationCtx) -> None:
    for job in await ctx.db.system.query("_scheduled_functions").collect():
        await ctx.scheduler.cancel(job["_id"])


@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [row.text async for row in ctx.db.query(Row)]


@query
async def total(ctx: QueryCtx) -> int:
    total = await ctx.db.query(Total).first()
    return 0 if total is None else total.count


@query
async def states(ctx: QueryCtx) -> list[Any]:
    jobs = await ctx.db.system.query("_scheduled_functions").collect()
    return [job["state"] for job in jobs]
"""


def lib(folder: Path) -> str:
    return "import asyncio\n" + LIB.format(folder=str(folder))


async def value(outcome: Any) -> Any:
    ended = await outcome
    assert isinstance(ended, Success), ended
    return codec.decode(ended.value)


async def schedule(
    d: Deployment, function: str, /, *, delay: float = 0.0, times: int = 1, **args: Any
) -> None:
    given = {"name": function, "args": args, "delay": delay, "times": times}
    await value(d.mutation("lib:schedule", given))


async def kinds(d: Deployment) -> list[str]:
    return [state["kind"] for state in await value(d.query("lib:states"))]


async def all_are(d: Deployment, kind: str) -> None:
    """Wait until every job has come to this."""
    async with asyncio.timeout(60):
        while set(await kinds(d)) != {kind}:
            await asyncio.sleep(0.01)


def marks(folder: Path, name: str) -> list[int]:
    """The processes in which an action has begun."""
    path = folder / name
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_what_is_due_runs_by_itself(deployed: Deployed, tmp_path: Path) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "write", text="now")
        await schedule(d, "write", text="soon", delay=0.2)
        await schedule(d, "write", text="in an hour", delay=3600.0)
        await schedule(d, "act", name="acted")
        async with asyncio.timeout(60):
            while len(await value(d.query("lib:texts"))) < 3:
                await asyncio.sleep(0.01)
        assert set(await value(d.query("lib:texts"))) == {"now", "soon", "acted"}
        async with asyncio.timeout(60):
            while "inProgress" in await kinds(d):  # the action has still to be told as ended
                await asyncio.sleep(0.01)
        assert sorted(await kinds(d)) == ["pending", "success", "success", "success"]

    deployed(scenario)


def test_the_scheduler_rests_when_nothing_is_due(deployed: Deployed, tmp_path: Path) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "write", text="in an hour", delay=3600.0)
        await asyncio.sleep(0)
        looks: list[None] = []
        look = d.scheduler.look
        d.scheduler.look = lambda: (looks.append(None), look())[1]  # type: ignore[method-assign]
        for n in range(5):  # commits that have nothing to do with it
            await value(d.mutation("lib:write_now", {"text": str(n)}))
        assert looks == []
        await schedule(d, "write", text="now")
        await all_texts(d, 6)
        assert looks

    deployed(scenario)


async def all_texts(d: Deployment, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await value(d.query("lib:texts"))) < count:
            await asyncio.sleep(0.01)


def test_conflicting_jobs_take_effect_exactly_once_each(deployed: Deployed, tmp_path: Path) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "count", times=100)
        await all_are(d, "success")
        assert await value(d.query("lib:total")) == 100

    deployed(scenario, minimum=2)


def test_a_mutation_that_loops_has_failed(deployed: Deployed, tmp_path: Path) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "spin")
        await all_are(d, "failed")
        (state,) = await value(d.query("lib:states"))
        assert "Function execution timed out" in state["error"]
        assert d.job_failures == [state["error"]]

    deployed(scenario)


def test_a_mutation_that_was_lost_with_its_process_runs_again(
    deployed: Deployed, tmp_path: Path
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "crash")

        def losses() -> int:
            return d.system.read(lambda tx: jobs.pending(tx, 1))[0].losses

        await until(lambda: losses() >= 2)
        assert await kinds(d) == ["pending"]
        assert d.job_failures == []
        await value(d.mutation("lib:cancel_all"))
        await all_are(d, "canceled")

    deployed(scenario)


def test_an_action_that_was_lost_with_its_process_has_failed(
    deployed: Deployed, tmp_path: Path
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "act", name="lost", wait=True)
        await until(lambda: marks(tmp_path, "lost"))
        assert await kinds(d) == ["inProgress"]
        os.kill(marks(tmp_path, "lost")[0], signal.SIGKILL)
        await all_are(d, "failed")
        (state,) = await value(d.query("lib:states"))
        assert state["error"] == jobs.TRANSIENT_ERROR
        (tmp_path / "go").touch()
        await schedule(d, "act", name="other")
        await all_texts(d, 1)
        assert len(marks(tmp_path, "lost")) == 1

    deployed(scenario)


def test_an_action_with_retries_runs_again_after_a_crash(
    deployed: Deployed, tmp_path: Path
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await value(d.mutation("lib:schedule_with_retry", {"name": "lost"}))
        for run in range(2):
            await until(lambda run=run: len(marks(tmp_path, "lost")) == run + 1)
            os.kill(marks(tmp_path, "lost")[run], signal.SIGKILL)
        (tmp_path / "go").touch()
        await all_are(d, "success")
        assert len(marks(tmp_path, "lost")) == 3
        assert len(await value(d.query("lib:texts"))) == 1

    deployed(scenario)


def test_code_at_run_time_runs(deployed: Deployed, tmp_path: Path) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "write", text="a", delay=3600.0)
        await schedule(d, "count", delay=3600.0)
        await schedule(d, "act", name="b", delay=3600.0)
        changed = (
            lib(tmp_path)
            .replace("Row(text=text)", "Row(text=text + ' by new code')")
            .replace("async def count(", "async def gone(")
            .replace("@internal_action\nasync def act", "@internal_mutation\nasync def act")
        )
        await d.deploy(lib=changed)
        await d.system.write(make_due)
        async with asyncio.timeout(60):
            while {"pending", "inProgress"}.intersection(await kinds(d)):
                await asyncio.sleep(0.01)
        assert await value(d.query("lib:texts")) == ["a by new code"]
        _, gone, other_kind = await value(d.query("lib:states"))
        assert "Could not find function for 'lib:count'" in gone["error"]
        assert "as Action, but it is defined as Mutation" in other_kind["error"]

    deployed(scenario)


def make_due(tx: Any) -> None:
    for job in jobs.pending(tx, 100):
        jobs.put_off(tx, job.home, job.id, 0.0)


def test_a_restart_runs_what_is_due_and_fails_actions_that_ran(tmp_path: Path) -> None:
    async def first() -> None:
        async with Deployment(tmp_path) as d:
            await d.deploy(lib=lib(tmp_path))
            await schedule(d, "act", name="ran", wait=True)
            await until(lambda: marks(tmp_path, "ran"))
            await d.scheduler.stop()
            await schedule(d, "write", text="after the restart")

    async def second() -> None:
        async with Deployment(tmp_path) as d:
            stored = d.deployer.stored()
            assert stored is not None
            await d.deployer.deploy(*stored)
            await all_texts(d, 1)
            async with asyncio.timeout(60):
                while "inProgress" in await kinds(d):
                    await asyncio.sleep(0.01)
            states = await value(d.query("lib:states"))
            failed = {"kind": "failed", "error": jobs.TRANSIENT_ERROR}
            assert states == [failed, {"kind": "success"}]
            assert len(marks(tmp_path, "ran")) == 1

    asyncio.run(first())
    asyncio.run(second())


def test_many_slow_jobs_leave_room_for_calls(deployed: Deployed, tmp_path: Path) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        await schedule(d, "act", name="many", wait=True, times=40)
        await until(lambda: len(marks(tmp_path, "many")) == 8)
        await schedule(d, "write", text="waits for a place")
        assert await value(d.query("lib:texts")) == []
        (tmp_path / "go").touch()
        await all_texts(d, 41)
        await all_are(d, "success")
        assert len(marks(tmp_path, "many")) == 40

    deployed(scenario)


def test_a_mutation_that_is_canceled_while_it_runs_has_run_or_has_not(
    deployed: Deployed, tmp_path: Path
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=lib(tmp_path))
        for n in range(10):
            await schedule(d, "write_slowly", text=str(n))
            for _ in range(n):  # a little later each time
                await value(d.query("lib:total"))
            await value(d.mutation("lib:cancel_all"))
        async with asyncio.timeout(60):
            while {"pending", "inProgress"} & set(await kinds(d)):
                await asyncio.sleep(0.01)
        effects = set(await value(d.query("lib:texts")))
        ended = await kinds(d)
        assert set(ended) <= {"success", "canceled"}
        assert effects == {str(n) for n, kind in enumerate(ended) if kind == "success"}

    deployed(scenario, minimum=2)


CONFIG = """
from pyconvex import define_app
from ticking_component import ticking
app = define_app()
app.use(ticking)
"""
IN_A_COMPONENT = """
from pyconvex import *

@mutation
async def schedule(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(3600, components.ticking.lib.tick, {"n": 1})
    await ctx.run_mutation(components.ticking.lib.tick_later, {"n": 2, "delay": 3600})

@query
async def states(ctx: QueryCtx) -> list:
    jobs = await ctx.db.system.query("_scheduled_functions").collect()
    return [job["state"] for job in jobs]
"""


def test_jobs_of_a_component_that_is_gone_fail(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=IN_A_COMPONENT, convex_config=CONFIG)
        await value(d.mutation("lib:schedule"))
        await d.deploy(lib=IN_A_COMPONENT.replace("components.ticking", "components.gone"))
        await d.system.write(make_due)
        await until(lambda: len(d.job_failures) == 2)
        for failure in d.job_failures:
            assert "There is no component at 'ticking'" in failure
        assert [state["kind"] for state in await value(d.query("lib:states"))] == ["failed"]
        assert await until_none_is_pending(d) == 2
        assert d.system.read(lambda tx: list(tx.namespace("").system.scan("_cron_jobs"))) == []

    deployed(scenario)


async def until_none_is_pending(d: Deployment) -> int:
    """How many jobs have ended, in all components."""

    def ended(tx: Any) -> int:
        rows = list(tx.namespace("").system.scan("_scheduled_queue"))
        return sum(row["phase"] == "done" for row in rows)

    await until(lambda: d.system.read(ended) == 2)
    return d.system.read(ended)


CRON_APP = """
from pyconvex import *
from . import lib
crons = cron_jobs()
crons.interval("count", 1, lib.count)
crons.interval("crash", 3600, api.lib.act, {"name": "cron", "wait": True})
"""


def test_crons_run_by_themselves_and_recover(tmp_path: Path) -> None:
    async def counted(d: Deployment, times: int) -> None:
        async with asyncio.timeout(60):
            while await value(d.query("lib:total")) < times:
                await asyncio.sleep(0.02)

    async def first() -> None:
        async with Deployment(tmp_path) as d:
            await d.deploy(lib=lib(tmp_path), crons=CRON_APP)
            await counted(d, 2)
            await until(lambda: marks(tmp_path, "cron"))

    async def second() -> None:
        async with Deployment(tmp_path) as d:
            await d.deploy(lib=lib(tmp_path), crons=CRON_APP)
            await counted(d, 4)
            assert d.job_failures == [jobs.TRANSIENT_ERROR]
            assert len(marks(tmp_path, "cron")) == 1

    asyncio.run(first())
    asyncio.run(second())

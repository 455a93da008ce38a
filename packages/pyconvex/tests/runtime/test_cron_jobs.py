"""What cron jobs promise, on the engine itself with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ticking_component import ticking

from pyconvex import define_app
from pyconvex.runtime.scheduling import cron_jobs
from pyconvex.testing import AppLoadError, ConvexTest, FunctionFailed, convex_test

LIB = """
import asyncio
from typing import Any

from pyconvex import *

go_on = asyncio.Event()
failing = False


class Beat(Document, table="beats"):
    name: str


@internal_mutation
async def beat(ctx: MutationCtx, name: str = "a") -> int:
    print("beating", name)
    assert ctx.user_id is None
    await ctx.db.insert(Beat(name=name))
    return len(await ctx.db.query(Beat).collect())


@internal_mutation
async def sometimes(ctx: MutationCtx) -> None:
    await ctx.db.insert(Beat(name="sometimes"))
    if failing:
        raise ValueError("not this time")


@internal_action
async def slow(ctx: ActionCtx) -> None:
    await ctx.run_mutation(beat, name="slow begins")
    await go_on.wait()


@internal_action
async def fails(ctx: ActionCtx) -> None:
    raise ValueError("never works")


@query
async def beats(ctx: QueryCtx) -> list[str]:
    return [beat.name async for beat in ctx.db.query(Beat)]


@query
async def takes(ctx: QueryCtx, id: Id[Beat]) -> None: ...
"""

CRONS = """
from datetime import time, timedelta
from pyconvex import *
from . import lib

crons = cron_jobs()
"""

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
Scenario = Callable[[ConvexTest], Awaitable[None]]


def with_crons(*lines: str) -> dict[str, str]:
    return {"lib.py": LIB, "crons.py": CRONS + "\n".join(lines)}


def scene(scenario: Scenario, *lines: str) -> None:
    async def main() -> None:
        async with convex_test(with_crons(*lines), now=NOON) as t:
            await scenario(t)

    asyncio.run(main())


def due_ms(t: ConvexTest) -> dict[str, float]:
    return {
        cron.name: cron.due_ms for cron in t.engine.system.read(lambda tx: cron_jobs.everything(tx))
    }


async def redeploy(t: ConvexTest, *lines: str) -> None:
    """Do to the cron jobs what a deploy of an app with these does."""
    async with convex_test(with_crons(*lines)) as other:
        components = other.engine.image.spec.components
    await t.engine.system.write(lambda tx: cron_jobs.deploy(tx, components))


async def beats(t: ConvexTest) -> list[str]:
    return await t.query("lib:beats")  # type: ignore[no-any-return]


def globals_of(t: ConvexTest) -> dict[str, Any]:
    function = t.engine.image.components[""].functions["lib:slow"]
    return function.handler.__globals__  # type: ignore[no-any-return]


def test_an_interval_begins_at_once_and_keeps_its_anchor() -> None:
    async def scenario(t: ConvexTest) -> None:
        anchor = due_ms(t)["a"]
        await t.drain()
        assert await beats(t) == ["a"]
        await t.advance(59)
        assert await beats(t) == ["a"]
        await t.advance(1)
        assert await beats(t) == ["a", "a"]
        await t.advance(598)
        assert await beats(t) == ["a"] * 11
        assert due_ms(t)["a"] == anchor + 11 * 60_000

    scene(scenario, "crons.interval('a', 60, lib.beat)")


def test_clock_times_are_spread_over_a_minute_and_an_hour() -> None:
    async def scenario(t: ConvexTest) -> None:
        noon_ms, due = NOON.timestamp() * 1000, due_ms(t)
        assert noon_ms + 30 * 60_000 <= due["pinned"] < noon_ms + 31 * 60_000
        assert noon_ms + 3_600_000 <= due["free"] < noon_ms + 2 * 3_600_000
        assert due == {name: ms - ms % 1000 for name, ms in due.items()}
        await t.advance(60 * 60)
        assert await beats(t) == ["pinned"]
        await t.advance(60 * 60)
        assert sorted(await beats(t)) == ["free", "pinned", "pinned"]

    scene(
        scenario,
        "crons.hourly('pinned', 30, lib.beat, 'pinned')",
        "crons.daily('free', 13, lib.beat, name='free')",
    )


def test_the_log_keeps_five_runs() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.advance(6 * 60)
        runs = t.cron_runs("a")
        assert [run["status"] for run in runs] == [
            {"kind": "success", "result": f"{n}.0"} for n in (7, 6, 5, 4, 3)
        ]
        assert runs[0]["logLines"] == "[LOG] 'beating a'"
        assert runs[0]["scheduledTime"] - runs[1]["scheduledTime"] == 60_000
        assert t.scheduled() == [], "cron jobs are no scheduled functions"
        with pytest.raises(ValueError, match="has no cron job 'b'"):
            t.cron_runs("b")

    scene(scenario, "crons.interval('a', 60, lib.beat)")


def test_a_failing_mutation_is_undone_logged_and_tried_at_the_next_time() -> None:
    async def scenario(t: ConvexTest) -> None:
        globals_of(t)["failing"] = True
        with pytest.raises(FunctionFailed, match="not this time"):
            await t.drain()
        assert await beats(t) == []
        await t.drain()
        (run,) = t.cron_runs("a")
        assert run["status"]["kind"] == "failed"
        assert "ValueError: not this time" in run["status"]["error"]
        globals_of(t)["failing"] = False
        await t.advance(60)
        assert await beats(t) == ["sometimes"]

    scene(scenario, "crons.interval('a', 60, lib.sometimes)")


def test_a_failing_action_is_logged_and_moves_on() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.advance(90, raise_failures=False)
        assert [run["status"]["kind"] for run in t.cron_runs("a")] == ["failed", "failed"]

    scene(scenario, "crons.interval('a', 60, lib.fails)")


def test_a_conflict_is_no_failure() -> None:
    async def scenario(t: ConvexTest) -> None:
        t.conflict_next("lib:beat", times=45)
        await t.drain()
        assert await beats(t) == ["a"]
        assert len(t.cron_runs("a")) == 1

    scene(scenario, "crons.interval('a', 60, lib.beat)")


def test_an_overdue_job_runs_once_and_leaves_the_rest_out() -> None:
    async def scenario(t: ConvexTest) -> None:
        anchor = due_ms(t)["a"]
        t.engine.clock.advance(10 * 60 + 30)  # as if the server had been down
        await t.drain()
        assert await beats(t) == ["a"]
        assert due_ms(t)["a"] == anchor + 11 * 60_000
        skipped, run = t.cron_runs("a")
        assert run["status"] == {"kind": "success", "result": "1.0"}
        assert skipped["status"] == {"kind": "canceled", "skipped": 10}
        assert skipped["logLines"].startswith("Skipping 10 run(s) of job a because multiple")

    scene(scenario, "crons.interval('a', 60, lib.beat)")


def test_a_job_never_runs_twice_at_a_time() -> None:
    async def scenario(t: ConvexTest) -> None:
        draining = asyncio.create_task(t.drain())
        slow = t.subscribe("lib:beats")
        while await anext(slow) == []:
            pass
        anchor = due_ms(t)["a"]
        t.engine.clock.advance(200)
        assert t.engine.scheduler.look().started == 0
        globals_of(t)["go_on"].set()
        await draining
        assert await beats(t) == ["slow begins"]
        assert due_ms(t)["a"] == anchor + 4 * 60_000
        assert [run["status"]["kind"] for run in t.cron_runs("a")] == ["canceled", "success"]

    scene(scenario, "crons.interval('a', 60, lib.slow)")


def test_what_a_deploy_leaves_alone_keeps_its_next_run() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.advance(30)
        before = due_ms(t)
        await redeploy(
            t,
            "crons.interval('same', 60, lib.beat)",
            "crons.interval('other target', 60, lib.beat, 'new')",
        )
        assert due_ms(t) == before
        await t.advance(30)
        assert await beats(t) == ["a", "old", "a", "new"]
        assert len(t.cron_runs("same")) == 2

    scene(
        scenario,
        "crons.interval('same', 60, lib.beat)",
        "crons.interval('other target', 60, lib.beat, 'old')",
    )


def test_a_changed_schedule_counts_from_the_deploy() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.advance(100)
        await redeploy(
            t, "crons.interval('a', 600, lib.beat)", "crons.interval('quick', 3600, lib.beat, 'q')"
        )
        due, now_ms = due_ms(t), t.now_ms
        assert due["a"] == pytest.approx(now_ms, abs=100)
        assert now_ms < due["quick"] <= now_ms + 10_000, "what was to run in a moment does"

    scene(
        scenario,
        "crons.interval('a', 3600, lib.beat)",
        "crons.interval('quick', 10, lib.beat, 'q')",
    )


def test_a_removed_job_stops() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.drain()
        await redeploy(t)
        await t.advance(600)
        assert await beats(t) == ["a"]
        assert due_ms(t) == {}
        logs = t.engine.system.read(lambda tx: [*tx.namespace("").system.scan("_cron_job_logs")])
        assert logs == []

    scene(scenario, "crons.interval('a', 60, lib.beat)")


def test_a_job_that_is_removed_while_it_runs_ends() -> None:
    async def scenario(t: ConvexTest) -> None:
        draining = asyncio.create_task(t.drain())
        slow = t.subscribe("lib:beats")
        while await anext(slow) == []:
            pass
        await redeploy(t)
        globals_of(t)["go_on"].set()
        await draining
        assert due_ms(t) == {}

    scene(scenario, "crons.interval('a', 60, lib.slow)")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("crons.interval('a', 1, api.lib.no)", "schedules a function that does not exist: lib:no"),
        (
            "crons.interval('a', 1, api.lib.beats)",
            "The cron job 'a' schedules a query function, only actions and mutations can be "
            "scheduled: lib:beats",
        ),
        ("crons.interval('a', 1, components.x.lib.beat)", "a function of a component"),
        ("crons.interval('a', 1, api.lib)", "names no function"),
        ("crons.interval('a', 1, lib.beat, 5)", "gives arguments that lib:beat does not take"),
        ("crons.interval('a', 1, lib.beat, {'a': 1})", "does not take"),
        ("crons.interval('a', 1, lib.beat, 'x' * 1_100_000)", "are larger than 1048576 bytes"),
        ("crons.interval('a', 0, lib.beat)", "an interval is at least 1 second"),
        ("crons.cron('a', '0 0 31 2 *', lib.beat)", "Cron job 'a'"),
        ("crons = 5", "crons.py must define `crons`: write crons = cron_jobs()"),
    ],
)
def test_what_is_not_deployed(line: str, text: str) -> None:
    async def scenario(t: ConvexTest) -> None: ...

    with pytest.raises(AppLoadError, match=text.replace("(", "\\(").replace(")", "\\)")):
        scene(scenario, line)


def test_crons_of_a_component_run_among_its_own_tables() -> None:
    app = define_app()
    app.use(ticking, name="first")
    app.use(ticking, name="second")

    async def main() -> None:
        async with convex_test(app) as t:
            await t.advance(60)
            for name in ("first", "second"):
                assert await t.component(name).query("lib:ticks") == [7, 7]
                assert len(t.cron_runs("tick", component=name)) == 2

    asyncio.run(main())

"""What scheduling promises to app code, on the engine itself with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyconvex.database.jobs import KEPT_MS
from pyconvex.runtime.scheduling import requests
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

APP = """
import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from pyconvex import *
from pyconvex.functions import FunctionReference

running = asyncio.Event()
go_on = asyncio.Event()


class Note(Document, table="notes"):
    text: str


@internal_mutation
async def note(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Note(text=text))


@internal_mutation
async def take_id(ctx: MutationCtx, note: Id[Note], count: int = 1) -> None: ...


@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text async for note in ctx.db.query(Note)]


@query
async def jobs(ctx: QueryCtx) -> list[Any]:
    return await ctx.db.system.query("_scheduled_functions").collect()


@query
async def job(ctx: QueryCtx, id: ScheduledId) -> Any:
    return await ctx.db.system.get(id)


@mutation
async def after(ctx: MutationCtx, delay: float, text: str = "a") -> ScheduledId:
    return await ctx.scheduler.run_after(delay, note, text=text)


@mutation
async def at(ctx: MutationCtx, ms: float) -> ScheduledId:
    return await ctx.scheduler.run_at(ms, note, text="at")


@mutation
async def at_datetime(ctx: MutationCtx, aware: bool) -> ScheduledId:
    moment = datetime.now(UTC) + timedelta(hours=1)
    return await ctx.scheduler.run_at(moment if aware else datetime(2026, 1, 1), note, text="dt")


@mutation
async def schedule_and_fail(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(0, note, text="never")
    raise RuntimeError("after scheduling")


@mutation
async def around_a_failure(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(0, note, text="kept")
    try:
        await ctx.run_mutation(schedule_and_fail)
    except RuntimeError:
        pass


@mutation
async def cancel(ctx: MutationCtx, id: str) -> None:
    await ctx.scheduler.cancel(id)


@mutation
async def cancel_and_fail(ctx: MutationCtx, id: str) -> None:
    await ctx.scheduler.cancel(id)
    raise RuntimeError("after canceling")


@mutation
async def schedule_any(ctx: MutationCtx, path: str, args: Any, retry: bool = False) -> ScheduledId:
    module, name = path.split(":")
    scheduler = ctx.scheduler.with_retry(Retry(max_attempts=2)) if retry else ctx.scheduler
    return await scheduler.run_after(0, FunctionReference(module, name), args)


@action
async def schedule_any_in_action(ctx: ActionCtx, path: str, args: Any) -> ScheduledId:
    module, name = path.split(":")
    return await ctx.scheduler.run_after(0, FunctionReference(module, name), args)


@mutation
async def many(ctx: MutationCtx, count: int, size: int = 0) -> None:
    for _ in range(count):
        await ctx.scheduler.run_after(0, note, text="x" * size)


@mutation
async def nested_many(ctx: MutationCtx) -> str:
    try:
        await ctx.run_mutation(many_and_fail)
    except RuntimeError:
        pass
    try:
        await ctx.scheduler.run_after(0, note, text="one too many")
    except Exception as error:
        return str(error)
    return "no limit"


@mutation
async def many_and_fail(ctx: MutationCtx) -> None:
    await ctx.run_mutation(many, count=1000)
    raise RuntimeError


@mutation
async def who(ctx: MutationCtx, text: str = "") -> None:
    identity = await ctx.auth.get_user_identity()
    await ctx.db.insert(Note(text=f"{ctx.user_id} {identity} {ctx.function_name}"))


@mutation
async def schedule_who(ctx: MutationCtx) -> None:
    assert ctx.user_id == "ada"
    await ctx.scheduler.run_after(0, who)


@internal_mutation
async def cancel_myself(ctx: MutationCtx) -> None:
    await ctx.db.insert(Note(text="undone"))
    (job,) = await ctx.db.system.query("_scheduled_functions").collect()
    assert job["state"]["kind"] == "inProgress"
    await ctx.scheduler.cancel(job["_id"])


@internal_mutation
async def break_down(ctx: MutationCtx) -> None:
    await ctx.db.insert(Note(text="never"))
    raise ConvexError({"code": 7})


@internal_action
async def act(ctx: ActionCtx, text: str) -> None:
    await ctx.run_mutation(note, text=text)
    await ctx.scheduler.run_after(0, note, text=text + " after")
    raise RuntimeError("the action fails")


@internal_action
async def wait(ctx: ActionCtx) -> None:
    running.set()
    await go_on.wait()
    await ctx.scheduler.run_after(0, note, text="by the action")
    await ctx.run_mutation(after, 0, "by its mutation")


attempts = 0


@internal_action
async def flaky(ctx: ActionCtx, failures: int) -> None:
    global attempts
    attempts += 1
    if attempts <= failures:
        raise RuntimeError(f"attempt {attempts}")
    await ctx.run_mutation(note, text=f"attempt {attempts}")


@mutation
async def start_flaky(ctx: MutationCtx, failures: int) -> ScheduledId:
    retry = Retry(max_attempts=3, initial_backoff_s=10)
    return await ctx.scheduler.with_retry(retry).run_after(0, flaky, failures=failures)


@action
async def cancel_in_action(ctx: ActionCtx, id: str) -> None:
    await ctx.scheduler.cancel(id)


@action
async def at_once(ctx: ActionCtx) -> ScheduledId:
    id = await ctx.scheduler.run_after(60, note, text="from an action")
    state = (await ctx.run_query(job, id=id))["state"]
    assert state == {"kind": "pending"}, state
    raise RuntimeError("later")
"""

Scenario = Callable[[ConvexTest], Awaitable[None]]


def scene(scenario: Scenario) -> None:
    async def main() -> None:
        async with convex_test({"lib.py": APP}) as t:
            await scenario(t)

    asyncio.run(main())


async def states(t: ConvexTest) -> list[str]:
    return [job["state"]["kind"] for job in await t.query("lib:jobs")]


def test_a_job_runs_after_the_commit_and_once() -> None:
    async def scenario(t: ConvexTest) -> None:
        id = await t.mutation("lib:after", delay=0)
        assert await t.query("lib:texts") == []
        assert (await t.query("lib:job", id=id))["state"] == {"kind": "pending"}
        await t.drain()
        await t.drain()
        assert await t.query("lib:texts") == ["a"]
        assert (await t.query("lib:job", id=id))["state"] == {"kind": "success"}

    scene(scenario)


def test_a_delay_is_kept() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:after", delay=60)
        await t.drain()
        await t.advance(59.9)
        assert await t.query("lib:texts") == []
        await t.advance(0.1)
        assert await t.query("lib:texts") == ["a"]

    scene(scenario)


def test_the_document() -> None:
    async def scenario(t: ConvexTest) -> None:
        before_ms = t.now_ms
        id = await t.mutation("lib:after", delay=60)
        job = await t.query("lib:job", id=id)
        created = job.pop("_creationTime")
        assert job.pop("scheduledTime") == pytest.approx(created + 60_000, abs=1)
        assert created >= before_ms
        pending = {
            "_id": id,
            "name": "lib.py:note",
            "args": [{"text": "a"}],
            "state": {"kind": "pending"},
        }
        assert job == pending
        await t.advance(60)
        ended = await t.query("lib:job", id=id)
        assert ended["completedTime"] == pytest.approx(created + 60_000, abs=100)
        assert ended["state"] == {"kind": "success"}
        assert t.scheduled() == [ended]

    scene(scenario)


def test_jobs_can_be_followed() -> None:
    async def scenario(t: ConvexTest) -> None:
        jobs = t.subscribe("lib:jobs")
        assert await anext(jobs) == []
        await t.mutation("lib:after", delay=5)
        assert [job["state"]["kind"] for job in await anext(jobs)] == ["pending"]
        await t.advance(5)
        assert [job["state"]["kind"] for job in await anext(jobs)] == ["success"]

    scene(scenario)


def test_moments() -> None:
    async def scenario(t: ConvexTest) -> None:
        past = t.now_ms - 3_600_000
        id = await t.mutation("lib:at", ms=past)
        await t.drain()
        job = await t.query("lib:job", id=id)
        assert job["scheduledTime"] == past
        assert job["state"] == {"kind": "success"}
        await t.mutation("lib:at_datetime", aware=True)
        await t.advance(3599)
        assert await t.query("lib:texts") == ["at"]
        await t.advance(1)
        assert await t.query("lib:texts") == ["at", "dt"]
        with pytest.raises(FunctionFailed, match="the datetime has no time zone"):
            await t.mutation("lib:at_datetime", aware=False)

    scene(scenario)


@pytest.mark.parametrize("delay", [-1.0, float("inf"), float("nan")])
def test_delays_that_are_none(delay: float) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="must be a number of seconds or a timedelta"):
            await t.mutation("lib:after", delay=delay)

    scene(scenario)


def test_five_years_are_the_limit() -> None:
    year_s = 365.25 * 24 * 3600

    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:after", delay=4.9 * year_s)
        with pytest.raises(FunctionFailed, match="more than 5 years in the future"):
            await t.mutation("lib:after", delay=5.1 * year_s)
        with pytest.raises(FunctionFailed, match="more than 5 years in the past"):
            await t.mutation("lib:at", ms=t.now_ms - 5.1 * year_s * 1000)

    scene(scenario)


def test_scheduling_is_rolled_back_with_its_transaction_and_savepoint() -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="after scheduling"):
            await t.mutation("lib:schedule_and_fail")
        assert t.scheduled() == []
        await t.mutation("lib:around_a_failure")
        await t.drain()
        assert await t.query("lib:texts") == ["kept"]
        assert len(t.scheduled()) == 1

    scene(scenario)


@pytest.mark.parametrize(
    ("path", "args", "text"),
    [
        ("lib:nothing", {}, "Could not find function for 'lib:nothing'"),
        ("lib:texts", {}, "'lib:texts' is a query: only mutations and actions can be scheduled"),
        ("lib:note", {}, "Can't schedule 'lib:note': ArgumentValidationError: .*`text`"),
        ("lib:note", {"text": 5.0}, "Can't schedule 'lib:note'"),
        ("lib:note", {"text": "a", "more": 1.0}, "extra field `more`"),
        ("lib:take_id", {"note": "no id"}, 'v.id\\("notes"\\)'),
        ("lib:take_id", {"note": "x", "count": 1.5}, "Can't schedule"),
    ],
)
def test_what_can_not_run_can_not_be_scheduled(path: str, args: Any, text: str) -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match=text):
            await t.mutation("lib:schedule_any", path=path, args=args)
        with pytest.raises(FunctionFailed, match=text):
            await t.action("lib:schedule_any_in_action", path=path, args=args)
        assert t.scheduled() == []

    scene(scenario)


def test_a_mutation_needs_no_retries() -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="runs exactly once: schedule it without a retry"):
            await t.mutation("lib:schedule_any", path="lib:note", args={"text": "a"}, retry=True)

    scene(scenario)


def test_a_thousand_functions_can_be_scheduled_at_once() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:many", count=requests.MAX_SCHEDULED)
        with pytest.raises(FunctionFailed, match="Too many functions scheduled"):
            await t.mutation("lib:many", count=requests.MAX_SCHEDULED + 1)
        assert len(t.scheduled()) == requests.MAX_SCHEDULED
        text = await t.mutation("lib:nested_many")
        assert "Too many functions scheduled" in text, "what is undone has been counted"

    scene(scenario)


def test_arguments_may_be_larger_than_a_document_but_not_than_all_limits() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:many", count=1, size=3_000_000)
        (job,) = t.scheduled()
        assert job["args"] == [{"text": "x" * 3_000_000}]
        with pytest.raises(FunctionFailed, match="too large in all"):
            await t.mutation("lib:many", count=4, size=5_000_000)
        with pytest.raises(FunctionFailed, match="Value is too large"):
            await t.drain()

    scene(scenario)


def test_a_job_is_nobody() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.with_identity(subject="ada").mutation("lib:schedule_who")
        await t.drain()
        assert await t.query("lib:texts") == ["None None lib:who"]

    scene(scenario)


def test_a_failing_mutation_is_undone_and_says_why() -> None:
    async def scenario(t: ConvexTest) -> None:
        id = await t.mutation("lib:schedule_any", path="lib:break_down", args={})
        await t.drain(raise_failures=False)
        job = await t.query("lib:job", id=id)
        assert job["state"]["kind"] == "failed"
        assert job["state"]["error"].startswith('Uncaught ConvexError: {"code":7')
        assert "at break_down" in job["state"]["error"]
        assert await t.query("lib:texts") == []
        await t.advance(3600)
        assert await states(t) == ["failed"], "it is not tried again"

    scene(scenario)


def test_conflicts_are_retried_for_ever_and_take_effect_once() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:after", delay=0)
        t.conflict_next("lib:note", times=75)
        await t.drain()
        assert await t.query("lib:texts") == ["a"]
        assert await states(t) == ["success"]

    scene(scenario)


def test_what_a_failing_action_has_done_stays() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:schedule_any", path="lib:act", args={"text": "a"})
        with pytest.raises(FunctionFailed, match="the action fails") as failed:
            await t.drain()
        assert failed.value.__notes__ == ["This is the scheduled action lib:act."]
        assert await t.query("lib:texts") == ["a", "a after"]
        assert await states(t) == ["failed", "success"]

    scene(scenario)


def test_an_action_schedules_by_itself() -> None:
    async def scenario(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed, match="later"):
            await t.action("lib:at_once")
        await t.advance(60)
        assert await t.query("lib:texts") == ["from an action"]

    scene(scenario)


def test_an_action_runs_once_unless_it_asks_for_more() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:schedule_any", path="lib:flaky", args={"failures": 1.0})
        await t.drain(raise_failures=False)
        await t.advance(3600)
        assert await states(t) == ["failed"]

    scene(scenario)


@pytest.mark.parametrize(("failures", "ended"), [(0, "success"), (2, "success"), (3, "failed")])
def test_retries(failures: int, ended: str) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:start_flaky", failures=failures)
        if failures:
            await t.drain()
            assert await states(t) == ["pending"], "the first failure is no failure yet"
        await t.advance(60, raise_failures=False)
        assert await states(t) == [ended]
        expected = [f"attempt {failures + 1}"] if ended == "success" else []
        assert await t.query("lib:texts") == expected

    scene(scenario)


def test_a_pending_job_can_be_canceled() -> None:
    async def scenario(t: ConvexTest) -> None:
        first, second = [await t.mutation("lib:after", delay=5) for _ in range(2)]
        await t.mutation("lib:cancel", id=first)
        await t.action("lib:cancel_in_action", id=second)
        await t.mutation("lib:cancel", id=second)
        await t.advance(10)
        assert await states(t) == ["canceled", "canceled"]
        assert await t.query("lib:texts") == []
        assert (await t.query("lib:job", id=first))["completedTime"] > 0

    scene(scenario)


def test_canceling_is_part_of_the_transaction() -> None:
    async def scenario(t: ConvexTest) -> None:
        id = await t.mutation("lib:after", delay=5)
        with pytest.raises(FunctionFailed, match="after canceling"):
            await t.mutation("lib:cancel_and_fail", id=id)
        await t.advance(5)
        assert await t.query("lib:texts") == ["a"]
        await t.mutation("lib:cancel", id=id)
        assert await states(t) == ["success"], "what has ended stays as it is"

    scene(scenario)


def test_only_jobs_can_be_canceled() -> None:
    async def scenario(t: ConvexTest) -> None:
        note = await t.run(lambda ctx: ctx.db.insert("notes", {"text": "a"}))
        for id in (note, "no id", ""):
            for kind, path in ((t.mutation, "lib:cancel"), (t.action, "lib:cancel_in_action")):
                with pytest.raises(FunctionFailed, match="Invalid scheduled function ID"):
                    await kind(path, id=id)

    scene(scenario)


def test_a_running_mutation_can_not_cancel_itself() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:schedule_any", path="lib:cancel_myself", args={})
        with pytest.raises(FunctionFailed, match="can't cancel itself"):
            await t.drain()
        assert await states(t) == ["failed"]
        assert await t.query("lib:texts") == []

    scene(scenario)


def test_a_canceled_action_goes_on_and_what_it_schedules_is_canceled() -> None:
    async def scenario(t: ConvexTest) -> None:
        id = await t.mutation("lib:schedule_any", path="lib:wait", args={})
        module = _globals_of(t, "lib:wait")
        draining = asyncio.create_task(t.drain())
        await module["running"].wait()
        assert await states(t) == ["inProgress"]
        await t.mutation("lib:cancel", id=id)
        assert await states(t) == ["canceled"]
        module["go_on"].set()
        await draining
        await t.drain()
        assert await states(t) == ["canceled"] * 3
        assert await t.query("lib:texts") == []

    scene(scenario)


def test_jobs_are_kept_for_a_week() -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("lib:many", count=249)
        await t.mutation("lib:many", count=1, size=10_000)
        await t.mutation("lib:after", delay=2 * KEPT_MS / 1000)
        await t.drain()
        await t.advance(KEPT_MS / 1000 - 60)
        assert len(t.scheduled()) == 251
        await t.advance(61)
        assert await states(t) == ["pending"]
        rows = ("_scheduled_functions", "_scheduled_arguments", "_scheduled_queue")
        counts = t.engine.system.read(
            lambda tx: [len(list(tx.namespace("").system.scan(table))) for table in rows]
        )
        assert counts == [1, 0, 1]

    scene(scenario)


def _globals_of(t: ConvexTest, path: str) -> dict[str, Any]:
    functions = t.engine.image.components[""].functions
    return functions[path].handler.__globals__  # type: ignore[no-any-return]


COMPONENT_APP = """
from typing import Any
from pyconvex import *

@internal_mutation
async def nothing(ctx: MutationCtx) -> None: ...

@mutation
async def tick_below(ctx: MutationCtx, path: str = "tick") -> ScheduledId:
    return await ctx.scheduler.run_after(0, getattr(components.ticking.lib, path), {"n": 1})

@query
async def jobs(ctx: QueryCtx) -> list[Any]:
    return await ctx.db.system.query("_scheduled_functions").collect()
"""
CONFIG = """
from pyconvex import define_app
from ticking_component import ticking
app = define_app()
app.use(ticking)
"""


def test_components_schedule_and_cancel_among_their_own() -> None:
    async def main() -> None:
        app = {"lib.py": COMPONENT_APP, "convex_config.py": CONFIG}
        async with convex_test(app) as t:
            await t.drain()  # the component's cron job
            inside = t.component("ticking")
            first = await inside.mutation("lib:tick_later", n=2, delay=0)
            second = await inside.action("lib:tick_later_in_action", n=3, delay=5)
            third = await inside.mutation("lib:tick_later", n=4, delay=5)
            assert t.scheduled() == []
            await inside.action("lib:cancel_in_action", id=third)
            await t.mutation("lib:tick_below")
            assert len(t.scheduled()) == 1, "the app's job, though it runs below"
            await t.advance(5)
            assert sorted(await inside.query("lib:ticks")) == [1, 2, 3, 7]
            kinds = {job["_id"]: job["state"]["kind"] for job in await inside.query("lib:jobs")}
            assert kinds == {first: "success", second: "success", third: "canceled"}
            (job,) = await t.query("lib:jobs")
            assert job["name"] == "lib.py:tick"
            assert job["state"] == {"kind": "success"}
            with pytest.raises(FunctionFailed, match="does not export 'lib:hidden_tick'"):
                await t.mutation("lib:tick_below", path="hidden_tick")

    asyncio.run(main())

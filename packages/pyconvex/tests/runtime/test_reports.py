"""Which executions have a record, and what stands in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from pyconvex.identity import ANONYMOUS
from pyconvex.runlog import ExceptionReport, Report, RunRecord
from pyconvex.runlog.entries import Entries
from pyconvex.runlog.traces import TraceContext
from pyconvex.runtime.answering.reports import KeepsNothing, RunReports
from pyconvex.runtime.calls import FunctionCall, JobRef
from pyconvex.runtime.isolates.runs import Run, new_run
from pyconvex.runtime.processes import messages
from pyconvex.testing import ConvexTest, FunctionFailed, convex_test

APP = {
    "shop.py": """
import asyncio
from pyconvex import *

@query
async def shown(ctx: QueryCtx) -> int:
    ctx.report("shop.shown", "seen", each_caller=True)
    ctx.report("shop.ran", "run")
    return len(await ctx.db.query("things").collect())

@query
async def fails(ctx: QueryCtx) -> None:
    raise ValueError("no")

@query
async def mine(ctx: QueryCtx) -> int:
    ctx.report("shop.shown", ctx.user_id, each_caller=True)
    return 1

@mutation
async def add(ctx: MutationCtx, fail: bool = False) -> None:
    ctx.report("shop.added", 1)
    print("adding")
    await ctx.db.insert("things", {"n": len(await ctx.db.query("things").collect())})
    if fail:
        raise ConvexError("no")

@action
async def act(ctx: ActionCtx, fail: bool = False) -> None:
    ctx.log("warn", "acting")
    await ctx.run_mutation(add, fail=fail)

@query
async def may_go(ctx: QueryCtx) -> bool:
    return "GO" in ctx.env

@action
async def tells(ctx: ActionCtx) -> None:
    print("one")
    while not await ctx.run_query(may_go):
        await asyncio.sleep(0.05)
    await asyncio.to_thread(print, "two")
    print(3, end="")
"""
}


def play(test: Callable[[ConvexTest], Awaitable[None]]) -> None:
    async def main() -> None:
        async with convex_test(APP) as t:
            await test(t)

    asyncio.run(main())


def exception(record: RunRecord) -> ExceptionReport:
    return msgspec.msgpack.decode(record.report.exception, type=ExceptionReport)


def test_a_mutation_that_returned() -> None:
    async def test(t: ConvexTest) -> None:
        await t.with_identity(subject="ada").mutation("shop:add")
        (record,) = t.run_records
        assert (record.kind, record.path, record.reason) == ("mutation", "shop:add", "tester")
        assert (record.error, record.identity, record.report.user_id) == ("", "user", "ada")
        assert [line.text for line in record.report.lines] == ["adding"]
        assert t.reported("shop.added") == [1]
        assert record.result_bytes == len("null")
        assert record.args_bytes == len("{}")

    play(test)


def test_each_attempt_has_a_record_and_only_the_last_ones_metadata_counts() -> None:
    async def test(t: ConvexTest) -> None:
        t.conflict_next("shop:add", times=2)
        await t.mutation("shop:add")
        first, second, third = t.run_records
        assert [r.will_retry for r in t.run_records] == [True, True, False]
        assert [r.occ.retry_count for r in (first, second) if r.occ] == [0, 1]
        assert third.occ is None
        assert [r.retries for r in t.run_records] == [0, 1, 2]
        assert first.failed
        assert len({r.execution_id for r in t.run_records}) == 3
        assert len({r.request_id for r in t.run_records}) == 1
        assert t.reported("shop.added") == [1]
        assert [len(r.report.lines) for r in t.run_records] == [1, 1, 1], "lines are kept"
        assert first.report.exception == b""

    play(test)


def test_a_mutation_that_fails_reports_its_error_and_its_metadata() -> None:
    async def test(t: ConvexTest) -> None:
        with pytest.raises(Exception, match="no"):
            await t.mutation("shop:add", fail=True)
        (record,) = t.run_records
        assert record.error.startswith("Uncaught ConvexError: no\n    at add (")
        told = exception(record)
        assert (told.type, told.data) == ("ConvexError", b'"no"')
        assert [(f.module, f.function, f.in_app) for f in told.frames] == [("shop", "add", True)]
        assert t.reported("shop.added") == [1]

    play(test)


def test_what_an_action_calls_shares_its_request_and_its_error() -> None:
    async def test(t: ConvexTest) -> None:
        with pytest.raises(Exception, match="no"):
            await t.action("shop:act", fail=True)
        mutation, action = (record for record in t.run_records if not record.going_on)
        assert (mutation.reason, mutation.parent) == ("action", action.execution_id)
        assert mutation.request_id == action.request_id
        assert action.parent == ""
        assert exception(mutation).id == exception(action).id
        lines = [line for record in t.run_records for line in record.report.lines]
        assert {line.as_client() for line in lines} == {"[WARN] 'acting'", "[LOG] 'adding'"}

    play(test)


def test_who_gets_a_result_that_was_there_is_told_of_what_each_caller_is_worth() -> None:
    async def test(t: ConvexTest) -> None:
        await t.query("shop:shown")
        await t.query("shop:shown")
        ran, served = t.run_records
        assert (ran.cached, served.cached) == (False, True)
        assert ran.request_id != served.request_id
        assert t.reported("shop.shown") == ["seen", "seen"]
        assert t.reported("shop.ran") == ["run"]
        assert served.report.user_id is None

    play(test)


def test_each_subscriber_is_told_of_once_and_a_re_run_once_for_all() -> None:
    async def test(t: ConvexTest) -> None:
        async with t.subscribe("shop:shown") as one, t.subscribe("shop:shown") as two:
            assert (await anext(one), await anext(two)) == (0, 0)
            assert t.reported("shop.shown") == ["seen"] * 2
            assert t.reported("shop.ran") == ["run"]
            t.run_records.clear()
            await t.mutation("shop:add")
            assert (await anext(one), await anext(two)) == (1, 1)
            assert t.reported("shop.shown") == ["seen"]
            assert [r.reason for r in t.run_records] == ["tester", "dataChange"]

    play(test)


def test_a_result_that_looked_at_its_caller_is_that_callers() -> None:
    async def test(t: ConvexTest) -> None:
        ada, bea = t.with_identity(subject="ada"), t.with_identity(subject="bea")
        for who in (ada, bea, ada):
            await who.query("shop:mine")
        assert t.reported("shop.shown") == ["ada", "bea", "ada"]
        assert [r.report.user_id for r in t.run_records] == ["ada", "bea", "ada"]
        assert [r.cached for r in t.run_records] == [False, False, True]

    play(test)


def test_who_joins_a_query_that_fails_is_told_of_with_the_failure() -> None:
    async def test(t: ConvexTest) -> None:
        async with t.subscribe("shop:fails") as one:
            with pytest.raises(FunctionFailed):
                await anext(one)
            async with t.subscribe("shop:fails") as two:
                with pytest.raises(FunctionFailed):
                    await anext(two)
        ran, joined = t.run_records
        assert (ran.cached, joined.cached) == (False, True)
        assert ran.error == joined.error != ""
        assert joined.report.exception == b"", "it was raised once"

    play(test)


def test_a_function_that_is_not_there_fails_with_no_frames() -> None:
    async def test(t: ConvexTest) -> None:
        with pytest.raises(FunctionFailed):
            await t.query("shop:nope")
        (record,) = t.run_records
        assert "Could not find function" in record.error
        assert exception(record).frames == ()
        assert not record.must_last, "anybody can ask for what is not there"
        t.run_records.clear()
        with pytest.raises(Exception, match="no"):
            await t.mutation("shop:add", fail=True)
        (record,) = t.run_records
        assert record.must_last

    play(test)


def test_an_action_tells_its_lines_while_it_runs() -> None:
    async def test(t: ConvexTest) -> None:
        running = asyncio.create_task(t.action("shop:tells"))
        async with asyncio.timeout(30):
            while not t.run_records:
                await asyncio.sleep(0.005)
        assert not running.done()
        await t.set_env(GO="1")
        await running
        told = [r for r in t.run_records if r.kind == "action"]
        assert [r.going_on for r in told] == [*(True for _ in told[1:]), False]
        assert [line.text for r in told for line in r.report.lines] == ["one", "two", "3"]
        assert [line.text for line in told[0].report.lines] == ["one"]
        assert [r.told for r in told[:2]] == [0, 1]
        assert len({r.execution_id for r in told}) == 1
        assert t.log_lines == ["[LOG] 'one'", "[LOG] 'two'", "[LOG] '3'"]
        numbers = [
            row.position.seq
            for record in told
            for row in Entries(record).rows(frozenset({"log", "execution"}))
        ]
        assert numbers == [1, 2, 3, 4]

    play(test)


def test_variables_of_the_apps_frames_are_shown_to_who_asked_for_them() -> None:
    rule = "user_id=lambda who: 'ada', "
    for asked in (True, False):
        config = f"""
from pyconvex import define_app
app = define_app({rule}report_variables={asked})
"""

        async def main(config: str = config, asked: bool = asked) -> None:
            async with convex_test({**APP, "convex_config.py": config}) as t:
                with pytest.raises(Exception, match="no"):
                    await t.with_identity(subject="x").mutation("shop:add", fail=True)
                (record,) = t.run_records
                variables = exception(record).frames[-1].variables
                assert (variables or {}).get("fail") == ("True" if asked else None)
                assert record.report.user_id == "ada"

        asyncio.run(main())


def test_a_lost_run_and_what_is_told_on_the_way_say_as_much_of_their_call_as_an_end() -> None:
    reports = RunReports(KeepsNothing(), lambda: 5.0)
    call = FunctionCall(
        kind="mutation", path="shop:add", args=b'{"fail":true}', identity=ANONYMOUS,
        request_id="asked", origin="webSocket", parent="caller", queue_length=3,
        job=JobRef("job", "", "j1", True), trace=TraceContext("trace", "span", user_id="ada"),
    )  # fmt: skip
    start = messages.Start(
        1, "mutation", "", "shop:add", call.args, b"", "asked", 4.0, b"", False, False, b"", None,
        execution_id="e",
    )  # fmt: skip

    async def run() -> Run:
        return new_run(start)

    submitted = asyncio.run(run())
    ended = reports.ended(call, start, messages.Finished(1, b"1", "", None, Report(), False, b""))
    lost = reports.lost(call, submitted.gone("gone", Report()), began_ms=4.0)
    going_on = reports.going_on(call, submitted, messages.Told(1, (), ()))
    blank = {"error": "", "result_bytes": 0, "going_on": False, "report": Report()}
    for record in (lost, going_on):
        assert msgspec.structs.replace(record, **blank) == msgspec.structs.replace(ended, **blank)
    assert (ended.queue_length, ended.args_bytes, ended.job_id) == (3, 13, "j1")

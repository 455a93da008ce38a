"""What a run printed and reported is known however its process ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from host_bench import Deployment, until

from pyconvex.runlog import RunRecord
from pyconvex.runlog.report import decode_value
from pyconvex.runtime.calls import Failure, HostError
from pyconvex.runtime.isolates import action_isolates, pure_isolates
from pyconvex.runtime.running import limits
from pyconvex.testing import convex_test

APP = """
import asyncio, ctypes, logging, os, sys, threading, time
from pyconvex import *

def tell(ctx):
    print("first")
    logging.getLogger("app").warning("second")
    ctx.log("info", {"third": 3})
    ctx.report("shop.seen", {"n": 1})
    print("half a", "line", end="")

def die(how):
    if how == "spin":
        while True: pass
    if how == "_exit":
        os._exit(3)
    if how == "exit":
        sys.exit(4)
    if how == "crash":
        ctypes.string_at(0)

@query
async def asks(ctx: QueryCtx, how: str) -> None:
    tell(ctx)
    die(how)

@query
async def inner(ctx: QueryCtx, how: str) -> None:
    print("inside")
    print("left", end="")
    die(how)

@query
async def outer(ctx: QueryCtx, how: str) -> None:
    print("outside")
    await ctx.run_query(inner, how=how)

@mutation
async def changes(ctx: MutationCtx, how: str) -> None:
    tell(ctx)
    die(how)

@mutation
async def quiet(ctx: MutationCtx, how: str) -> None:
    die(how)

@mutation
async def fine(ctx: MutationCtx) -> None:
    print("all went well")
    print("open", end="")

class Loud:
    def __str__(self):
        print("loud")
        return "Loud"

@mutation
async def prints(ctx: MutationCtx) -> str:
    import contextlib, io
    print("a", 1, None, sep="-", end="!\\n")
    print("b", sep=None, end=None)
    print()
    print("part", end="")
    print(" of it", flush=True)
    print("c", file=sys.stderr)
    print(Loud(), "d")
    with contextlib.redirect_stdout(io.StringIO()) as kept:
        print("e")
    try:
        print("f", sep=1)
    except TypeError as error:
        print(error)
    return kept.getvalue()

@mutation
async def logs_badly(ctx: MutationCtx) -> str:
    logging.getLogger("app").info("%d apples", "many")
    return "went on"

@mutation
async def prints_for_ever(ctx: MutationCtx) -> None:
    while True:
        print("again")

@action
async def acts(ctx: ActionCtx, how: str) -> None:
    tell(ctx)
    die(how)

@action
def blocks(ctx: BlockingActionCtx, how: str) -> None:
    tell(ctx)
    die(how)

@action
async def told_before(ctx: ActionCtx, how: str) -> None:
    print("early")
    await asyncio.sleep(0.2)
    tell(ctx)
    die(how)

@action
async def waits(ctx: ActionCtx) -> None:
    ctx.report("shop.seen", {"n": 2})
    print("waiting", end="")
    try:
        await asyncio.sleep(60)
    finally:
        print(" no more")

@action
async def never_stops(ctx: ActionCtx) -> None:
    print("stubborn")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("who cares")
            ctx.report("shop.seen", {"n": 3})
"""

TOLD = ["[LOG] 'first'", "[WARN] 'second'", "[INFO] {'third': 3}", "[LOG] 'half a line'"]
SEEN = [("shop.seen", {"n": 1})]
ENDS = {
    "spin": "timed out",
    "_exit": "exited with status 3",
    "exit": "exited with status 4",
    "crash": "crashed (SIGSEGV)",
}

Deployed = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_limit_but_the_test_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not end what dies in another way."""
    for limit in ("PURE_CPU_LIMIT_S", "PURE_WALL_LIMIT_S"):
        monkeypatch.setattr(pure_isolates, limit, 600.0)
    monkeypatch.setattr(limits, "STALL_S", 600.0)
    monkeypatch.setattr(action_isolates, "GRACE_S", 600.0)


def told(records: list[RunRecord]) -> list[str]:
    return [line.as_client() for record in records for line in record.report.lines]


def seen(records: list[RunRecord]) -> list[tuple[str, Any]]:
    items = [item for record in records for item in record.report.items]
    return [(item.kind, decode_value(item.value)) for item in items]


def numbered(records: list[RunRecord]) -> bool:
    """Whether each record goes on where the one before has ended."""
    count = 0
    for record in records:
        if record.told != count:
            return False
        count += len(record.report.lines) + len(record.report.items)
    return True


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("kind", ["query", "mutation"])
def test_a_run_tells_what_it_told_until_it_died(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, kind: str, how: str
) -> None:
    path = "lib:asks" if kind == "query" else "lib:changes"
    if how == "spin":
        monkeypatch.setattr(pure_isolates, "PURE_CPU_LIMIT_S", 0.2)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        await d.mutation("lib:fine")  # what it told is no part of what comes
        d.records.clear()
        outcome = await getattr(d, kind)(path, {"how": how})
        assert isinstance(outcome, Failure)
        assert ENDS[how] in outcome.message
        assert list(outcome.log_lines) == TOLD
        (record,) = d.records
        assert (record.error, told([record]), seen([record])) == (outcome.message, TOLD, SEEN)
        assert outcome.error_id
        assert record.report.exception

    deployed(scenario)


def test_nested_calls_are_named_and_what_they_left_open_is_theirs(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        await d.query("lib:outer", {"how": "_exit"})
        (record,) = d.records
        assert [(line.text, line.path) for line in record.report.lines] == [
            ("outside", ""),
            ("inside", "lib:inner"),
            ("left", "lib:inner"),
        ]

    deployed(scenario)


def test_one_that_told_nothing_tells_nothing_of_the_one_before(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        await d.mutation("lib:fine")
        outcome = await d.mutation("lib:quiet", {"how": "_exit"})
        assert (outcome.log_lines, told(d.records[1:])) == ((), [])

    deployed(scenario)


def test_one_that_prints_without_end_is_cut_where_it_always_is(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        monkeypatch.setattr(pure_isolates, "PURE_CPU_LIMIT_S", 0.2)
        outcome = await d.mutation("lib:prints_for_ever")
        assert outcome.log_lines[:255] == ("[LOG] 'again'",) * 255
        (last,) = outcome.log_lines[255:]
        assert "Log overflow" in last

    deployed(scenario)


def test_print_is_as_it_always_is(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        outcome = await d.mutation("lib:prints")
        assert outcome.value == b'"e\\n"'
        assert list(outcome.log_lines) == [
            "[LOG] 'a-1-None!'",
            "[LOG] 'b'",
            "[LOG] ''",
            "[LOG] 'part of it'",
            "[LOG] 'loud'",
            "[LOG] 'Loud d'",
            "[LOG] 'sep must be None or a string, not int'",
        ]

    deployed(scenario)


def test_a_message_that_logging_cannot_make_is_told_and_the_function_goes_on(
    deployed: Deployed,
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        outcome = await d.mutation("lib:logs_badly")
        assert outcome.value == b'"went on"'
        (line,) = outcome.log_lines
        assert line.startswith("[ERROR]")
        assert "lib.py:" in line
        assert "%d apples" in line
        assert "TypeError" in line

    deployed(scenario)


def test_one_that_the_system_killed_has_told_what_it_told(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        running = asyncio.create_task(d.mutation("lib:changes", {"how": "spin"}))
        (box,) = [isolate.box for isolate in d.pools[0].isolates]
        await until(lambda: any(b"half a" in entry.body for entry in box.read().entries))
        (busy,) = [isolate for isolate in d.pools[0].isolates if isolate.runs]
        assert busy.pid is not None
        os.kill(busy.pid, signal.SIGKILL)
        outcome = await running
        assert "killed (SIGKILL)" in outcome.message
        assert list(outcome.log_lines) == TOLD

    deployed(scenario, maximum=1)


@pytest.mark.parametrize("how", [how for how in ENDS if how != "spin"])
@pytest.mark.parametrize("path", ["lib:acts", "lib:told_before"])
def test_an_action_tells_each_thing_once(deployed: Deployed, path: str, how: str) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        outcome = await d.action(path, {"how": how})
        wanted = ["[LOG] 'early'", *TOLD] if path == "lib:told_before" else TOLD
        assert ENDS[how] in outcome.message
        assert list(outcome.log_lines) == wanted
        assert (told(d.records), seen(d.records)) == (wanted, SEEN)
        assert numbered(d.records)

    deployed(scenario)


def test_a_blocking_action_too(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        await d.action("lib:blocks", {"how": "_exit"})
        assert (told(d.records), seen(d.records)) == (TOLD, SEEN)

    deployed(scenario)


def test_those_beside_it_tell_theirs_and_are_told_why(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        beside = asyncio.create_task(d.action("lib:waits"))
        await until(lambda: any(isolate.runs for isolate in d.pools[0].isolates))
        gone = await d.action("lib:acts", {"how": "exit"})
        outcome = await beside
        assert outcome.message == gone.message
        assert "It ran lib:acts, lib:waits." in outcome.message
        assert outcome.log_lines == ("[LOG] 'waiting no more'",)
        of_it = [record for record in d.records if record.path == "lib:waits"]
        assert (told(of_it), seen(of_it)) == (
            ["[LOG] 'waiting no more'"],
            [("shop.seen", {"n": 2})],
        )
        assert numbered(of_it)

    deployed(scenario)


def make_overdue(d: Deployment) -> None:
    (run,) = [run for isolate in d.pools[0].isolates for run in isolate.runs.values()]
    run.began_s -= limits.ACTION_WALL_LIMIT_S


@pytest.mark.parametrize(
    ("path", "lines", "items"),
    [
        ("lib:waits", ["[LOG] 'waiting no more'"], [("shop.seen", {"n": 2})]),
        (
            "lib:never_stops",
            ["[LOG] 'stubborn'", "[LOG] 'who cares'"],
            [("shop.seen", {"n": 3})],
        ),
    ],
)
def test_one_whose_time_is_over_tells_its_last_lines_before_its_end(
    deployed: Deployed,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    lines: list[str],
    items: list[tuple[str, Any]],
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        running = asyncio.create_task(d.action(path))
        await until(lambda: any(isolate.runs for isolate in d.pools[0].isolates))
        (isolate,) = [isolate for isolate in d.pools[0].isolates if isolate.runs]
        await until(lambda: isolate.box.read().entries)
        make_overdue(d)
        if path == "lib:never_stops":
            # Its item comes after its line, and is told at its end alone.
            await until(lambda: any(b"shop.seen" in e.body for e in isolate.box.read().entries))
            monkeypatch.setattr(action_isolates, "GRACE_S", 0.0)
        outcome = await running
        assert "timed out" in outcome.message
        assert list(outcome.log_lines) == lines
        assert (told(d.records), seen(d.records)) == (lines, items)
        assert numbered(d.records)
        assert not d.records[-1].going_on

    deployed(scenario)


def test_what_is_under_way_when_the_server_stops_is_on_record(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        running = asyncio.create_task(d.action("lib:waits"))
        await until(lambda: any(isolate.runs for isolate in d.pools[0].isolates))
        (isolate,) = [isolate for isolate in d.pools[0].isolates if isolate.runs]
        await until(lambda: isolate.box.read().entries)
        await d.deployer.stop()
        with pytest.raises(HostError, match="The server is stopping"):
            await running
        assert told(d.records) == ["[LOG] 'waiting'"]
        assert seen(d.records) == [("shop.seen", {"n": 2})]
        record = d.records[-1]
        assert "stopping" in record.error
        assert not record.report.exception, "no fault of the function's"

    deployed(scenario)


def test_in_one_process_an_exit_takes_nothing_with_it() -> None:
    async def main() -> None:
        async with convex_test({"lib.py": APP}) as t:
            for call, path in (
                (t.query, "lib:asks"),
                (t.mutation, "lib:changes"),
                (t.action, "lib:acts"),
            ):
                t.run_records.clear()
                with pytest.raises(Exception, match="called exit"):
                    await call(path, how="exit")
                records = list(t.run_records)
                assert (told(records), seen(records)) == (TOLD, SEEN)
                assert numbered(records)

    asyncio.run(main())

"""Functions that take what isn't theirs: each gets its error, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_bench import Deployment, gone, until

from pyconvex.runtime.calls import Failure, HostError, Success
from pyconvex.runtime.isolates import action_isolates, pure_isolates
from pyconvex.runtime.isolates.runs import IsolateGoneError, Work
from pyconvex.runtime.running import limits
from pyconvex.values import codec

APP = """
import asyncio, ctypes, os, subprocess, sys, threading, time
from pyconvex import *

SEEN = []

@query
async def quick(ctx: QueryCtx, n: int = 0) -> int:
    return n

@query
async def pid(ctx: QueryCtx) -> int:
    return os.getpid()

@query
async def spins(ctx: QueryCtx, n: int = 0) -> None:
    while True:
        pass

@query
async def hoards(ctx: QueryCtx, n: int = 0) -> None:
    kept = []
    while True:
        kept.append(b"x" * (1 << 26))

@query
async def hoards_objects(ctx: QueryCtx, n: int = 0) -> None:
    kept = [[]]
    while True:
        kept.append(bytes(100_000))

@query
async def asks_for_all_at_once(ctx: QueryCtx, n: int = 0) -> int:
    return len(b"x" * (1 << 40))

@mutation
async def remembers(ctx: MutationCtx, megabytes: int) -> int:
    SEEN.append(bytearray(megabytes << 20))
    return len(SEEN)

@query
async def exits(ctx: QueryCtx, n: int = 0) -> None:
    os._exit(3)

@query
async def crashes(ctx: QueryCtx, n: int = 0) -> None:
    ctypes.string_at(0)

@query
async def recurses(ctx: QueryCtx, n: int = 0) -> None:
    def again(): return again()
    again()

@query
async def returns_much(ctx: QueryCtx, megabytes: int) -> str:
    return "x" * (megabytes << 20)

@query
async def logs_much(ctx: QueryCtx) -> int:
    for n in range(10_000):
        print("line", n)
    return 1

@query
async def forks(ctx: QueryCtx, n: int = 0) -> None:
    while True:
        os.fork()

@action
async def blocks(ctx: ActionCtx, seconds: float) -> str:
    time.sleep(seconds)
    return "blocked"

@action
async def blocks_in_steps(ctx: ActionCtx) -> None:
    await asyncio.sleep(0)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass

@action
async def waits(ctx: ActionCtx, seconds: float = 60.0) -> str:
    await asyncio.sleep(seconds)
    return "waited"

@action
async def waits_for_file(ctx: ActionCtx) -> str:
    while not os.path.exists(__file__.rsplit("/", 2)[0] + "/go"):
        await asyncio.sleep(0.01)
    return "waited"

@action
async def never_stops(ctx: ActionCtx) -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@action
async def action_pid(ctx: ActionCtx) -> int:
    return os.getpid()

@action
async def action_hoards(ctx: ActionCtx) -> None:
    kept = []
    while True:
        kept.append(bytearray(1 << 24))
        await asyncio.sleep(0)

@action
async def starts(ctx: ActionCtx) -> int:
    return subprocess.Popen(["sleep", "1000"]).pid

@action
async def starts_and_exits(ctx: ActionCtx) -> None:
    pid = subprocess.Popen(["sleep", "1000"]).pid
    open(__file__.rsplit("/", 2)[0] + "/child", "w").write(str(pid))
    os._exit(1)
"""

Deployed = Callable[..., None]


def value(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


def message(outcome: Any) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.message


BAD = {
    "spins": "Function execution timed out (maximum duration: 1s)",
    "hoards": "Function execution ran out of memory (maximum memory usage: 256 MB)",
    "hoards_objects": "Function execution ran out of memory (maximum memory usage: 256 MB)",
    "asks_for_all_at_once": "Function execution ran out of memory (maximum memory usage: 256 MB)",
    "exits": "The function's process ended before the function did: it exited with status 3.",
    "crashes": "The function's process ended before the function did: it crashed (SIGSEGV)",
    "recurses": "Uncaught RecursionError: maximum recursion depth exceeded",
    "forks": "Can't use os.fork in queries and mutations.",
}


def _never_demoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may hold up a run for so long that its isolate ends with it."""
    monkeypatch.setattr(pure_isolates, "DEMOTE_AFTER_S", 60.0)


@pytest.mark.parametrize("path", BAD)
def test_eight_at_once_fail_alone(
    deployed: Deployed, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path != "spins":  # on a busy machine taking all memory may take over a second
        monkeypatch.setattr(pure_isolates, "PURE_CPU_LIMIT_S", 60.0)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        # Queries with equal arguments would share one run.
        bad = [asyncio.create_task(d.query(f"lib:{path}", {"n": n})) for n in range(8)]
        answers = await asyncio.gather(*(d.query("lib:quick", {"n": n}) for n in range(40)))
        assert [value(a) for a in answers] == list(range(40))
        for outcome in await asyncio.gather(*bad):
            assert BAD[path] in message(outcome)
        assert value(await d.query("lib:quick", {"n": 41})) == 41
        await until(lambda: d.pools[0].idle >= 2)

    deployed(scenario, minimum=2, maximum=10)


def test_large_results_and_many_lines_are_cut_where_convex_cuts_them(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        large = await asyncio.gather(*(d.query("lib:returns_much", {"megabytes": 10})
                                       for _ in range(3)))  # fmt: skip
        assert [len(value(o)) for o in large] == [10 << 20] * 3
        assert "too large" in message(await d.query("lib:returns_much", {"megabytes": 20}))
        lines = (await d.query("lib:logs_much")).log_lines
        assert len(lines) == 256
        assert "Log overflow" in lines[-1]

    deployed(scenario)


def test_an_isolate_that_ran_out_of_memory_is_replaced(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        value(await d.query("lib:pid"))
        before = set(d.pools[0].pids)
        message(await d.query("lib:asks_for_all_at_once"))
        await until(lambda: before - set(d.pools[0].pids))

    deployed(scenario, minimum=1)


def test_an_isolate_that_grows_is_replaced(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    _never_demoted(monkeypatch)
    monkeypatch.setattr(pure_isolates, "RUNS_BETWEEN_LOOKS", 2)
    monkeypatch.setattr(pure_isolates, "MAX_GROWTH_BYTES", 30 << 20)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        seen = [value(await d.mutation("lib:remembers", {"megabytes": 10})) for _ in range(8)]
        assert seen == [1, 2, 3, 4, 1, 2, 3, 4]

    deployed(scenario, minimum=1, maximum=1)


def test_an_isolate_is_replaced_after_its_runs(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    _never_demoted(monkeypatch)
    monkeypatch.setattr(limits, "RUNS_PER_ISOLATE", 5)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        seen = [value(await d.mutation("lib:remembers", {"megabytes": 0})) for _ in range(12)]
        assert seen == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]

    deployed(scenario, minimum=1, maximum=1)


def test_fresh_processes_remember_nothing(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        runs = [d.mutation("lib:remembers", {"megabytes": 0}) for _ in range(10)]
        assert [value(o) for o in await asyncio.gather(*runs)] == [1] * 10
        pids = await asyncio.gather(*(d.action("lib:action_pid") for _ in range(5)))
        assert len({value(o) for o in pids}) == 5

    deployed(scenario, minimum=1, fresh=True)


def test_calls_that_wait_too_long_are_told(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        spinning = asyncio.create_task(d.query("lib:spins"))
        await begun(d, "lib:spins")
        # For this one call: the others may wait for a fork on a busy machine.
        with monkeypatch.context() as patched:
            patched.setattr(pure_isolates, "PURE_WAIT_LIMIT_S", 0.1)
            with pytest.raises(HostError, match="limited to 1 concurrent queries") as caught:
                await d.query("lib:quick", {"n": 1})
        assert (caught.value.status, caught.value.code) == (429, "TooManyConcurrentRequests")
        message(await spinning)
        assert value(await d.query("lib:quick", {"n": 2})) == 2

    deployed(scenario, minimum=1, maximum=1)


def test_a_function_that_took_its_isolate_goes_behind_others(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        message(await d.query("lib:exits", {"n": 0}))
        again = d.host._app.submit(d.call("query", "lib:exits", {"n": 1}))
        other = d.host._app.submit(d.call("query", "lib:quick", {"n": 1}))
        assert (again.work, other.work) == (Work.SUSPECT, Work.CALL)
        assert codec.decode((await other.result()).value or b"") == 1
        with pytest.raises(IsolateGoneError):
            await again.result()

    deployed(scenario, minimum=2)


def test_a_run_that_computes_for_long_lets_others_go_first(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        spinning = asyncio.create_task(d.query("lib:spins"))
        await begun(d, "lib:spins")
        [isolate] = [i for i in d.pools[0].isolates if i.runs]
        await until(lambda: isolate.demoted)
        assert isolate.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, isolate.pid) == 19
        message(await spinning)

    deployed(scenario, minimum=1)


def test_spares_go_when_nothing_needs_them(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pure_isolates, "SPARES_KEPT_S", 0.2)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        spinning = [asyncio.create_task(d.query("lib:spins", {"n": n})) for n in range(3)]
        await until(lambda: len(d.pools[0].isolates) > 2)
        await asyncio.gather(*spinning)
        await until(lambda: len(d.pools[0].isolates) == d.pools[0].idle == 1)
        assert value(await d.query("lib:quick", {"n": 1})) == 1

    deployed(scenario, minimum=1, maximum=5)


# Actions


def test_a_blocked_isolate_gets_nothing_new(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        blocking = asyncio.create_task(d.action("lib:blocks", {"seconds": 600.0}))
        await begun(d, "lib:blocks")
        others = [asyncio.create_task(d.action("lib:action_pid")) for _ in range(3)]
        await asyncio.wait(others)
        assert not blocking.done(), "the others went round it"
        blocking.cancel()
        assert "Action lib:blocks blocks its process at" in caplog.text
        assert "lib.py:" in caplog.text

    deployed(scenario)


def test_a_blocked_isolate_is_used_again_afterwards(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STALL_S", 0.5)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        assert value(await d.action("lib:blocks", {"seconds": 1.5})) == "blocked"
        assert value(await d.action("lib:waits", {"seconds": 0.01})) == "waited"
        assert sum(i.actions for i in d.pools[0].isolates) == 1

    deployed(scenario)


def make_overdue(d: Deployment, path: str) -> None:
    """Let an action's time be over."""
    runs = [run for isolate in d.pools[0].isolates for run in isolate.runs.values()]
    [run] = [run for run in runs if run.start.path == path]
    run.began_s -= limits.ACTION_WALL_LIMIT_S


async def begun(d: Deployment, *paths: str) -> None:
    def under_way() -> list[str]:
        runs = [run for isolate in d.pools[0].isolates for run in isolate.runs.values()]
        return sorted(run.start.path for run in runs)

    await until(lambda: under_way() == sorted(paths))


def test_an_overdue_action_takes_no_other_with_it(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        overdue = asyncio.create_task(d.action("lib:waits"))
        other = asyncio.create_task(d.action("lib:waits_for_file"))
        await begun(d, "lib:waits", "lib:waits_for_file")
        make_overdue(d, "lib:waits")
        assert "Action lib:waits timed out (maximum duration: 600s)" in message(await overdue)
        await begun(d, "lib:waits_for_file")
        (d.folder / "go").touch()
        assert value(await other) == "waited"

    deployed(scenario)


def test_one_that_does_not_stop_ends_its_process(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action_isolates, "GRACE_S", 0.2)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        stubborn = asyncio.create_task(d.action("lib:never_stops"))
        other = asyncio.create_task(d.action("lib:waits"))
        await begun(d, "lib:never_stops", "lib:waits")
        make_overdue(d, "lib:never_stops")
        assert "Action lib:never_stops timed out" in message(await stubborn)
        text = message(await other)
        assert "Action lib:never_stops timed out (maximum duration: 600s) and did not stop" in text

    deployed(scenario)


def test_who_was_held_up_is_told_by_whom(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "STALL_S", 0.1)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        held_up = asyncio.create_task(d.action("lib:waits"))
        await begun(d, "lib:waits")
        blocking = asyncio.create_task(d.action("lib:blocks_in_steps"))
        await until(lambda: "blocks its process" in caplog.text)
        make_overdue(d, "lib:blocks_in_steps")
        assert "Action lib:blocks_in_steps timed out" in message(await blocking)
        text = message(await held_up)
        assert text.startswith("Action lib:blocks_in_steps blocked its process at ")
        assert "lib.py:" in text

    deployed(scenario)


def test_an_action_that_hoards_is_told(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ACTION_MEMORY_LIMIT_BYTES", 100 << 20)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        text = message(await d.action("lib:action_hoards"))
        assert text.startswith("Action execution ran out of memory (maximum memory usage: ")
        assert value(await d.action("lib:waits", {"seconds": 0.0})) == "waited"

    deployed(scenario)


def test_what_an_action_started_ends_with_its_isolate(deployed: Deployed, tmp_path: Path) -> None:
    pids = []

    async def scenario(d: Deployment) -> None:
        (tmp_path / "convex").mkdir()
        await d.deploy(lib=APP)
        pids.append(int(value(await d.action("lib:starts"))))
        os.kill(pids[0], 0)
        message(await d.action("lib:starts_and_exits"))
        pids.append(int((tmp_path / "child").read_text()))

    deployed(scenario)
    gone(pids)

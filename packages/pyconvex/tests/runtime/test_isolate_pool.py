"""Real isolates: what a function may do to its process, and what stays of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_bench import DEADLINE_S, Deployment, gone, sources, until

from pyconvex.runtime.calls import Failure, HostError, Success
from pyconvex.runtime.isolates import template_process
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.running import limits
from pyconvex.storage import Store
from pyconvex.values import codec

APP = """
import asyncio, ctypes, os, sys, time
from pyconvex import *

@query
async def quick(ctx: QueryCtx, n: int = 0) -> int:
    return n

@query
async def pid(ctx: QueryCtx) -> int:
    return os.getpid()

@query
async def spins(ctx: QueryCtx) -> None:
    while True:
        pass

@query
async def exits(ctx: QueryCtx) -> None:
    os._exit(3)

@query
async def crashes(ctx: QueryCtx) -> None:
    ctypes.string_at(0)

@mutation
async def leaves(ctx: MutationCtx) -> None:
    sys.exit("bye")

@query
async def prints(ctx: QueryCtx, text: str) -> None:
    print(text, end="")

@mutation
async def forgets(ctx: MutationCtx) -> None:
    ctx.db.insert("t", {"n": 1})

@query
async def forgets_too(ctx: QueryCtx) -> list[str]:
    return ctx.db.query("t").collect()

@mutation
async def add(ctx: MutationCtx, n: int) -> None:
    await ctx.db.insert("numbers", {"n": n})

@query
async def total(ctx: QueryCtx) -> int:
    return sum(int(d["n"]) for d in await ctx.db.query("numbers").collect())

@action
async def adds(ctx: ActionCtx, n: int) -> int:
    print("adding")
    await ctx.run_mutation(add, n)
    return await ctx.run_query(total)

@action
async def outer(ctx: ActionCtx) -> int:
    return await ctx.run_action(adds, 5)

@action
async def catches(ctx: ActionCtx) -> str:
    try:
        await ctx.run_query(refuses)
    except ConvexError as error:
        return f"data {error.data}"

@query
async def refuses(ctx: QueryCtx) -> None:
    raise ConvexError({"code": "NO"})

@action
async def action_exits(ctx: ActionCtx) -> None:
    os._exit(0)

@action
async def waits(ctx: ActionCtx) -> None:
    await asyncio.Event().wait()

@action
async def cancelled(ctx: ActionCtx) -> None:
    raise asyncio.CancelledError

@action
async def variable(ctx: ActionCtx, name: str) -> str | None:
    return ctx.env.get(name)
"""

Deployed = Callable[..., None]


def value(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


def message(outcome: Any) -> str:
    assert isinstance(outcome, Failure), outcome
    return outcome.message


def test_an_endless_loop_is_killed_and_holds_nobody_up(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        spinning = asyncio.create_task(d.query("lib:spins"))
        await until(lambda: d.pools[0].isolates and not d.pools[0].idle)
        assert value(await d.query("lib:quick", {"n": 1})) == 1
        assert not spinning.done(), "the other caller was answered by a spare"
        text = message(await spinning)
        assert text == "Function execution timed out (maximum duration: 1s)"
        assert value(await d.query("lib:quick", {"n": 2})) == 2

    deployed(scenario, minimum=1)


def test_a_loop_is_killed_though_its_caller_has_left(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        pool = d.pools[0]
        run = d.host._app.submit(d.call("query", "lib:spins"))
        waiting = asyncio.create_task(run.result())
        await until(lambda: not pool.idle)
        [isolate] = pool.isolates
        waiting.cancel()
        await until(lambda: isolate not in pool.isolates)
        assert isolate.pid is not None
        gone([isolate.pid])

    deployed(scenario, minimum=1)


@pytest.mark.parametrize(
    ("kind", "path", "how"),
    [
        ("query", "lib:exits", "it exited with status 3"),
        ("mutation", "lib:leaves", "it exited with status 1"),
        ("query", "lib:crashes", "it crashed (SIGSEGV), by C code or by calls nested too deep"),
    ],
)
def test_a_process_that_ends_fails_its_run_alone(
    deployed: Deployed, kind: str, path: str, how: str
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        run = d.query if kind == "query" else d.mutation
        text = message(await run(path))
        assert text == f"The function's process ended before the function did: {how}."
        assert value(await d.query("lib:quick", {"n": 1})) == 1
        await until(lambda: d.pools[0].idle >= 2)

    deployed(scenario, minimum=2)


@pytest.mark.parametrize("path", ["lib:spins", "lib:exits"])
def test_what_is_lined_up_behind_a_bad_neighbour_runs_once(deployed: Deployed, path: str) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        bad = asyncio.create_task(d.query(path))
        await until(lambda: not d.pools[0].idle)
        good = [asyncio.create_task(d.mutation("lib:add", {"n": 1})) for _ in range(20)]
        await until(lambda: bad.done() or d.pools[0]._pure._lined_up)
        for outcome in await asyncio.gather(*good):
            value(outcome)
        assert isinstance(await bad, Failure)
        assert value(await d.query("lib:total")) == 20

    deployed(scenario, minimum=1)


def test_a_killed_isolate_is_replaced(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        pid = int(value(await d.query("lib:pid")))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pid not in d.pools[0].pids)
        await until(lambda: d.pools[0].idle)
        assert value(await d.query("lib:quick", {"n": 4})) == 4

    deployed(scenario, minimum=1)


def test_printed_text_stays_with_its_run(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        for text in ("mine", "yours"):
            outcome = await d.query("lib:prints", {"text": text})
            assert outcome.log_lines == (f"[LOG] '{text}'",)

    deployed(scenario, minimum=1)


def test_a_forgotten_await_is_told_each_time(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        for _ in range(2):
            [line] = (await d.mutation("lib:forgets")).log_lines
            assert line.startswith("[WARN]")
            assert "`await` is missing: DatabaseWriter.insert was called and did nothing." in line
            assert "lib.py:" in line
        returned = await d.query("lib:forgets_too")
        assert "Value: <OrderedQuery.collect without `await`>" in message(returned)

    deployed(scenario, minimum=1)


# Actions


def test_actions_call_and_are_called(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        outcome = await d.action("lib:adds", {"n": 2})
        assert (value(outcome), outcome.log_lines) == (2, ("[LOG] 'adding'",))
        assert value(await d.action("lib:outer")) == 7
        assert value(await d.action("lib:catches")) == "data {'code': 'NO'}"
        assert sorted([int(value(o)) for o in await asyncio.gather(
            *(d.action("lib:adds", {"n": 0}) for _ in range(12)))]) == [7] * 12  # fmt: skip

    deployed(scenario)


def test_actions_fail_alone(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        assert "Uncaught CancelledError" in message(await d.action("lib:cancelled"))
        assert "process ended before" in message(await d.action("lib:action_exits"))
        assert value(await d.action("lib:adds", {"n": 1})) == 1

    deployed(scenario)


def test_actions_see_all_that_queries_see_of_the_variables(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        await d.system.write(lambda tx: tx.namespace("").set_env("UNDECLARED", "1"))
        assert value(await d.action("lib:variable", {"name": "UNDECLARED"})) == "1"
        assert value(await d.action("lib:variable", {"name": "OTHER"})) is None

    deployed(scenario)


def test_an_overdue_action_names_itself(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ACTION_WALL_LIMIT_S", 0.1)

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        assert "Action lib:waits timed out" in message(await d.action("lib:waits"))

    deployed(scenario)


def test_an_unexpected_error_of_the_host_reaches_the_action(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: object) -> None:
        raise OSError("the disk")

    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        monkeypatch.setattr(d.host, "run_any", broken)
        assert "InternalServerError" in message(await d.action("lib:adds", {"n": 1}))
        assert "could not be answered" in caplog.text

    deployed(scenario)


# Stopping


def test_stopping_fails_what_is_under_way_as_the_servers_fault(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        pool = d.pools[0]
        tasks = [
            asyncio.create_task(each)
            for each in (
                d.query("lib:spins"),
                d.mutation("lib:add", {"n": 1}),
                d.action("lib:waits"),
            )
        ]
        await until(lambda: not pool.idle and any(i.actions and i.runs for i in pool.isolates))
        await pool.stop()
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(end, (HostError, Success)), end
        with pytest.raises(HostError, match="The server is stopping"):
            await d.mutation("lib:add", {"n": 1})

    deployed(scenario, minimum=1, maximum=1)


def test_stopping_reaps_what_it_started(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib=APP)
        spinning = asyncio.create_task(d.query("lib:spins"))
        pool = d.pools[0]
        await until(lambda: len(pool.pids) == 3 and pool.idle == 1)
        pids = pool.pids
        await pool.stop()
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == [], "not even zombies"
        with pytest.raises(HostError):
            await spinning

    deployed(scenario, minimum=2, maximum=2)


def test_stopping_in_the_middle_of_forks_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> list[int]:
        store = Store.open(tmp_path / "data", sync=lambda fd: None)
        pool = IsolatePool(minimum=4)
        await pool.load(sources(lib=APP), tmp_path, store.database)
        pool.open()
        pids = pool.pids
        await pool.stop()
        store.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return pids

    gone(asyncio.run(main()))


def test_nothing_outlives_a_killed_server(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from host_bench import Deployment, until
        from test_isolate_pool import APP

        async def main():
            async with Deployment(Path({str(tmp_path)!r}), minimum=2) as d:
                await d.deploy(lib=APP)
                asyncio.create_task(d.query("lib:spins"))
                asyncio.create_task(d.action("lib:waits"))
                pool = d.pools[0]
                await until(lambda: len(pool.pids) >= 4)
                await until(lambda: sum(bool(i.runs) for i in pool.isolates) == 2)
                print(*pool.pids, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
        """
    )
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert len(pids) >= 4
        for pid in pids:
            os.kill(pid, 0)
    finally:
        server.kill()
        server.wait(DEADLINE_S)
        server.stdout.close()
    gone(pids)


# Loading


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x = 1\ny = (", "convex/lib.py:2: SyntaxError: "),
        ("x = 1\n\nraise ValueError('no')", "convex/lib.py:3: ValueError: no"),
        ("import sys\nsys.exit('bye')", "convex/lib.py:2: SystemExit: bye"),
        ("import os\nos._exit(1)", "The process that imports the app ended before it was done."),
        ("from pyconvex import *\n@query\ndef f(ctx): ...", "lib.py:2: DefinitionError: query 'f'"),
        (
            "import json, not_there\nfrom PIL.nothing import x\nimport lib",
            "lib.py:1: there is no module named 'not_there'.\n",
        ),
        ("import not_there", "pip install not_there"),
        ("from .other import x", "convex/lib.py:1: there is no "),
        ("from .other import x", "convex/other.py to import."),
        (
            "import json.not_there",
            "lib.py:1: ModuleNotFoundError: No module named 'json.not_there'",
        ),
        (
            "import socket\n\nsocket.create_connection(('127.0.0.1', 9))",
            "convex/lib.py:3: Can't use the network while a module is imported",
        ),
    ],
)
def test_an_app_that_can_not_be_imported(deployed: Deployed, text: str, wanted: str) -> None:
    async def scenario(d: Deployment) -> None:
        with pytest.raises(AppLoadError) as caught:
            await d.deploy(lib=text)
        assert wanted in str(caught.value)

    deployed(scenario)


def test_an_import_that_never_ends_is_given_up(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_process, "LOAD_LIMIT_S", 0.3)

    async def scenario(d: Deployment) -> None:
        with pytest.raises(AppLoadError, match=r"Importing .* takes more than 0\.3 s"):
            await d.deploy(a="x = 1", lib="while True: pass")

    deployed(scenario)


def test_an_import_that_goes_on_is_told_before_it_is_given_up(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(template_process, "STILL_LOADING_S", 0.01)

    async def scenario(d: Deployment) -> None:
        deploying = asyncio.create_task(d.deploy(lib="while True: pass"))
        await until(lambda: " is still being imported after 0.01 s." in caplog.text)
        deploying.cancel()
        await asyncio.gather(deploying, return_exceptions=True)

    deployed(scenario)


def test_a_slow_import_is_named(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(template_process, "SLOW_IMPORT_S", 0.5)

    async def scenario(d: Deployment) -> None:
        await d.deploy(quick="x = 1", slow="import time; time.sleep(0.6)")
        assert "slow.py takes " in caplog.text
        assert "quick.py" not in caplog.text

    deployed(scenario)


def test_a_deploy_that_is_cancelled_leaves_nothing(deployed: Deployed) -> None:
    async def scenario(d: Deployment) -> None:
        deploying = asyncio.create_task(d.deploy(lib="while True: pass"))
        await until(lambda: d.pools and d.pools[0].pids)
        deploying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deploying

    deployed(scenario)


def test_threads_that_forks_will_not_have_are_told(
    deployed: Deployed, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(
            lib="""
            import threading
            threading.Thread(target=threading.Event().wait, name="beat", daemon=True).start()
        """
        )

    deployed(scenario)
    assert "Importing the app started threads (beat)." in capfd.readouterr().err


def test_what_modules_print_does_not_reach_standard_output(
    deployed: Deployed, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scenario(d: Deployment) -> None:
        await d.deploy(lib="import os\nprint('imported', flush=True)\nos.system('echo child')")

    deployed(scenario)
    out, err = capfd.readouterr()
    assert out == ""
    assert "imported" in err
    assert "child" in err

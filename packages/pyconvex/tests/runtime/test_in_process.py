"""The pool without processes, held to what the host expects of every pool."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.identity import ANONYMOUS, encode
from pyconvex.runtime.isolates.in_process import InProcessPool
from pyconvex.runtime.isolates.pool import submit
from pyconvex.runtime.isolates.runs import IsolateGoneError
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.processes import messages
from pyconvex.storage import Store

SOURCE = """
import asyncio
from pyconvex import ActionCtx, QueryCtx, action, query

@query
async def leave(ctx: QueryCtx) -> None:
    raise SystemExit(1)

@query
async def missing(ctx: QueryCtx) -> None: ...

@action
async def forever(ctx: ActionCtx) -> None:
    await asyncio.Event().wait()
"""

Scenario = Callable[[InProcessPool], Coroutine[Any, Any, None]]


@pytest.fixture
def in_pool(tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a coroutine function with a pool that has loaded the module `m`."""

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            store = Store.open(tmp_path / "data", sync=lambda fd: None)
            pool = InProcessPool()
            await pool.load({"m.py": SOURCE}, tmp_path, store.database)
            pool.open()
            try:
                await scenario(pool)
            finally:
                await pool.stop()
                store.close()

        asyncio.run(main())

    return run


def start(path: str, kind: str = "query", run_id: int = 1) -> messages.Start:
    return messages.Start(
        run_id=run_id,
        kind=kind,
        component="",
        path=path,
        args=b"{}",
        identity=encode(ANONYMOUS),
        request_id="r",
        now_ms=0.0,
        seed=b"seed",
        public_only=True,
        announce=False,
        cursor_secret=b"",
        journal=None,
    )


def test_data_of_another_deploy_is_told(in_pool: Callable[[Scenario], None]) -> None:
    async def scenario(pool: InProcessPool) -> None:
        finished = await submit(pool, start("m:missing")).done
        assert finished.stale  # nothing is deployed in this store

    in_pool(scenario)


def test_runs_that_have_not_begun_move_along(in_pool: Callable[[Scenario], None]) -> None:
    async def scenario(pool: InProcessPool) -> None:
        run = submit(pool, start("m:missing"))
        assert pool.hand_over() == [run]
        await pool.drain()
        assert not run.done.done()
        pool.adopt(run)
        await pool.drain()
        assert run.done.done()

    in_pool(scenario)


def test_stopping_ends_actions_and_what_waits(in_pool: Callable[[Scenario], None]) -> None:
    async def scenario(pool: InProcessPool) -> None:
        acting = submit(pool, start("m:forever", "action", 1))
        await asyncio.sleep(0)
        begun = submit(pool, start("m:forever", "action", 2))
        waiting = submit(pool, start("m:missing", run_id=3))
        await pool.stop()
        late = submit(pool, start("m:missing", run_id=4))
        for run in (acting, begun, waiting, late):
            with pytest.raises(IsolateGoneError, match="stopping"):
                await run.done

    in_pool(scenario)


def test_an_abandoned_run_does_no_harm(in_pool: Callable[[Scenario], None]) -> None:
    async def scenario(pool: InProcessPool) -> None:
        run = submit(pool, start("m:missing"))
        run.done.cancel()
        await pool.drain()
        assert (await submit(pool, start("m:missing", run_id=2)).done).stale

    in_pool(scenario)


def test_an_app_that_cannot_be_loaded_leaves_no_module(tmp_path: Path) -> None:
    finders = list(sys.meta_path)
    for source, words in (("1 / 0", "ZeroDivisionError"), ("raise SystemExit", "SystemExit")):
        pool = InProcessPool()
        with pytest.raises(AppLoadError, match=words):
            asyncio.run(pool.load({"m.py": source}, tmp_path, tmp_path / "none"))
    assert sys.meta_path == finders
    assert not [name for name in sys.modules if name.startswith("_pyconvex_app")]

"""What a test can do beside calling functions, and what is left of a deployment: nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pyconvex import MutationCtx
from pyconvex.storage import Reader
from pyconvex.testing import (
    AppLoadError,
    ConvexTest,
    FunctionFailed,
    HostError,
    MissingVariablesError,
    SourceError,
    convex_test,
    deployment,
)

Run = Callable[..., None]
Notes = Mapping[str, str]

CONFIG = 'from pyconvex import define_app, v\n\napp = define_app(env={"SECRET": v.string()})\n'


def test_log_lines_come_as_clients_get_them(
    testing: Run, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.query("notes:talk")
        assert t.log_lines == [
            "[LOG] 'printed'",
            "[WARN] 'warned'",
            "[ERROR] 'logged'",
            "[LOG] 'not ended'",
        ]
        t.log_lines.clear()
        await t.action("notes:work", text="a")
        assert t.log_lines == ["[LOG] 'attempt 1'", "[LOG] 'working'", "[INFO] 'added'"]

    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    before = sys.stdout, logging.getLogger().level, list(logging.getLogger().handlers)
    testing(scenario)
    assert (sys.stdout, logging.getLogger().level, logging.getLogger().handlers) == before
    assert "printed\nnot ended" in capsys.readouterr().err  # the developer sees it as well


def test_prints_of_the_test_are_its_own(testing: Run, capsys: pytest.CaptureFixture) -> None:
    async def scenario(t: ConvexTest) -> None:
        working = asyncio.create_task(t.action("notes:work", text="a"))
        await asyncio.sleep(0)
        print("from the test")
        await working
        assert "[LOG] 'from the test'" not in t.log_lines

    testing(scenario)
    assert "from the test" in capsys.readouterr().out


def test_conflicts_can_be_injected(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        t.conflict_next("notes:star", times=2)
        assert await t.mutation("notes:star", text="a") == 1
        assert t.log_lines == ["[LOG] 'attempt 3'"]  # the first two attempts left no trace
        assert await t.mutation("notes:star", text="a") == 2

    testing(scenario)


def test_conflicts_without_end_reach_the_caller(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        t.conflict_next("notes:star", times=20)
        with pytest.raises(HostError) as caught:
            await t.mutation("notes:star", text="a")
        assert (caught.value.status, caught.value.code) == (
            503,
            "OptimisticConcurrencyControlFailure",
        )
        assert await t.query("notes:stars", text="a") == 0
        assert await t.mutation("notes:star", text="a") == 1

    testing(scenario)


def test_what_commits_nothing_never_conflicts(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        t.conflict_next("notes:clear")
        await t.mutation("notes:clear")  # there is nothing to delete
        assert t.engine.conflicts["", "notes:clear"] == 1
        await t.mutation("notes:add", text="a")
        await t.mutation("notes:clear")
        assert t.engine.conflicts["", "notes:clear"] == 0
        assert await t.query("notes:texts") == []

    testing(scenario)


def test_only_a_mutation_can_conflict(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        for path in ("notes:texts", "notes:none"):
            with pytest.raises(ValueError, match="no mutation"):
                t.conflict_next(path)

    testing(scenario)


def test_mutations_at_the_same_time_conflict_for_real(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        seen = await asyncio.gather(*(t.mutation("notes:star", text="a") for _ in range(5)))
        assert sorted(seen) == [1, 2, 3, 4, 5]
        last = max(int(line.split()[-1].strip("'")) for line in t.log_lines)
        assert last > 5  # some ran again

    testing(scenario)


def test_drain_waits_for_what_other_tasks_began(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        task = asyncio.create_task(t.action("notes:work", text="a"))
        await t.drain()
        assert task.done()
        assert await t.query("notes:stars", text="a") == 1

    testing(scenario)


def test_drain_waits_for_calls_whose_callers_left(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        task = asyncio.create_task(t.mutation("notes:add", text="a"))
        await asyncio.sleep(0)
        task.cancel()
        await t.drain()
        assert await t.query("notes:texts") == ["a"]

    testing(scenario)


def test_drain_says_what_does_not_end(testing: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "DRAIN_PATIENCE_S", 0.05)

    async def scenario(t: ConvexTest) -> None:
        waiting = asyncio.create_task(t.action("notes:wait"))
        with pytest.raises(TimeoutError, match=r"Still under way after 0\.05 s: notes:wait"):
            await t.drain()
        waiting.cancel()
        with pytest.raises(TimeoutError, match="runs whose callers have left"):
            await t.drain()

    testing(scenario)


def test_the_clock_stands_still_but_for_advance(notes: Notes) -> None:
    async def main() -> None:
        async with convex_test(notes, now=datetime(2030, 1, 1, tzinfo=UTC)) as t:
            first = await t.query("notes:get", id=await t.mutation("notes:add", text="a"))
            await t.advance(3600)
            later = await t.query("notes:get", id=await t.mutation("notes:add", text="b"))
            assert 0 < first._creationTime - 1_893_456_000_000 < 1000
            assert 0 < later._creationTime - first._creationTime - 3_600_000 < 1000
            assert later._creationTime <= t.now_ms
            with pytest.raises(ValueError, match="can't go back"):
                await t.advance(-1)

    asyncio.run(main())


def test_documents_stand_in_the_order_of_the_mutations(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        for text in "abcdefghij":
            await t.mutation("notes:add", text=text)
        assert "".join(await t.query("notes:texts")) == "abcdefghij"

    testing(scenario)


def test_advance_forgets_what_is_past_its_retention(testing: Run) -> None:
    async def scenario(t: ConvexTest) -> None:
        await t.mutation("notes:add", text="a")
        before = t.engine.store.reader()
        assert _kept_revisions(before) > 0
        await t.advance(400 * 24 * 3600)
        assert _kept_revisions(before) == 0
        before.close()
        assert await t.query("notes:texts") == ["a"]

    testing(scenario)


def _kept_revisions(reader: Reader) -> int:
    reader.begin()
    try:
        return reader._db.execute("SELECT count(*) FROM revisions").get
    finally:
        reader.end()


IMPURE = """
import os
import random
import time
from datetime import datetime
from pyconvex import ActionCtx, MutationCtx, QueryCtx, action, mutation, query

@query
async def now(ctx: QueryCtx) -> list[float]:
    return [time.time(), datetime.now().timestamp()]

@mutation
async def draw(ctx: MutationCtx) -> float:
    return random.random()

@query
async def write(ctx: QueryCtx) -> None:
    open("kit_wrote_this", "w")

@query
async def variable(ctx: QueryCtx) -> list[str | None]:
    return [os.environ.get("SECRET"), os.environ.get("PATH")]

@action
async def act(ctx: ActionCtx) -> float:
    return time.time()
"""


def test_queries_and_mutations_are_pure_and_the_test_is_not() -> None:
    async def main() -> list[float]:
        real = time.time()
        start = datetime(2030, 1, 1, tzinfo=UTC)
        async with convex_test({"m.py": IMPURE}, env={"SECRET": "1"}, now=start) as t:
            wall, date = await t.query("m:now")
            assert wall == pytest.approx(date, abs=0.001)
            assert 0 < wall - start.timestamp() < 1
            assert real <= time.time() < real + 60
            assert real <= await t.action("m:act") < real + 60
            with pytest.raises(FunctionFailed, match="action"):
                await t.query("m:write")
            assert await t.query("m:variable") == ["1", None]
            await t.advance(10)
            assert (await t.query("m:now"))[0] == wall  # a result that is young enough
            await t.advance(10)
            assert (await t.query("m:now"))[0] > wall + 20
            return [await t.mutation("m:draw") for _ in range(3)]

    before = time.time, random.random, type(os.environ), open
    drawn = asyncio.run(main())
    assert len(set(drawn)) == 3
    assert drawn == asyncio.run(main())
    assert (time.time, random.random, type(os.environ), open) == before


def test_equal_seeds_give_equal_ids(notes: Notes) -> None:
    async def ids(seed: int) -> list[str]:
        async with convex_test(notes, seed=seed, now=datetime(2030, 1, 1, tzinfo=UTC)) as t:
            return [await t.mutation("notes:add", text="a") for _ in range(3)]

    async def main() -> None:
        first = await ids(1)
        assert len(set(first)) == 3
        assert first == await ids(1)
        assert first != await ids(2)

    asyncio.run(main())


def test_variables_are_set_and_changed(notes: Notes) -> None:
    async def main() -> None:
        async with convex_test({**notes, "convex_config.py": CONFIG}, env={"SECRET": "1"}) as t:
            assert await t.query("notes:secret") == "1"
            await t.set_env(SECRET="2")
            assert await t.query("notes:secret") == "2"
            with pytest.raises(HostError, match="Cannot delete required"):
                await t.set_env(SECRET=None)

    asyncio.run(main())


def test_what_a_deploy_refuses_entering_refuses(notes: Notes, tmp_path: Path) -> None:
    async def enter(app: object, **options: object) -> None:
        async with convex_test(app, **options):
            raise AssertionError("entered")

    def modules() -> list[str]:
        return [name for name in sys.modules if name.startswith("_pyconvex_app")]

    with pytest.raises(MissingVariablesError, match="SECRET"):
        asyncio.run(enter({**notes, "convex_config.py": CONFIG}))
    with pytest.raises(AppLoadError, match=r"wrong\.py:2: ZeroDivisionError") as caught:
        asyncio.run(enter({"wrong.py": "x = 1\nx / 0\n"}))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(SourceError, match="no functions folder"):
        asyncio.run(enter(tmp_path / "none"))
    with pytest.raises(TypeError, match="convex_test takes"):
        asyncio.run(enter([1]))
    assert modules() == []


def test_deployments_share_nothing_at_the_same_time(notes: Notes) -> None:
    async def main() -> None:
        async with convex_test(notes) as one, convex_test(notes) as two:
            await one.mutation("notes:add", text="a")
            await two.mutation("notes:add", text="b")
            await one.mutation("notes:star", text="a")
            await two.mutation("notes:star", text="b")
            assert await one.query("notes:texts") == ["a"]
            assert await two.query("notes:texts") == ["b"]
            assert one.log_lines == two.log_lines == ["[LOG] 'attempt 1'"]  # module globals too

    asyncio.run(main())


def test_nothing_is_left_when_the_block_ends(notes: Notes) -> None:
    folders: list[Path] = []

    async def main() -> None:
        async with convex_test(notes) as t:
            folders.append(t.engine.store.database.parent)
            assert folders[0].exists()
            subscription = t.subscribe("notes:texts")
            await anext(subscription)
            await t.mutation("notes:add", text="a")
            abandoned = asyncio.create_task(t.action("notes:work", text="b"))
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) <= 2
        with pytest.raises(Exception, match="stopping"):
            await abandoned
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)
        with pytest.raises(RuntimeError, match="not running"):
            await t.query("notes:texts")

    finders = list(sys.meta_path)
    asyncio.run(main())
    gc.collect()
    assert not folders[0].exists()
    assert sys.meta_path == finders
    assert not [name for name in sys.modules if name.startswith("_pyconvex_app")]


def test_functions_see_none_of_the_tests_context(notes: Notes) -> None:
    import contextvars

    variable = contextvars.ContextVar[str]("variable", default="unset")
    import builtins

    builtins.kit_variable = variable  # the only way for it to get there
    source = """
from builtins import kit_variable
from pyconvex import ActionCtx, QueryCtx, action, query

@query
async def look(ctx: QueryCtx) -> str:
    return kit_variable.get()

@action
async def act(ctx: ActionCtx) -> str:
    return kit_variable.get()
"""

    async def main() -> None:
        async with convex_test({"m.py": source}) as t:
            variable.set("the test's")
            assert await t.query("m:look") == "unset"
            assert await t.action("m:act") == "unset"

            async def look(ctx: MutationCtx) -> str:
                return variable.get()

            assert await t.run(look) == "unset"

    try:
        asyncio.run(main())
    finally:
        del builtins.kit_variable


def test_an_app_that_imports_while_it_runs_gets_its_own_modules(notes: Notes) -> None:
    source = """
from pyconvex import QueryCtx, query

@query
async def count(ctx: QueryCtx) -> int:
    from . import counter
    counter.value += 1
    return counter.value
"""
    app = {"m.py": source, "counter.py": "value = 0\n"}

    async def main() -> None:
        async with convex_test(app) as one, convex_test(app) as two:
            await one.query("m:count")
            await one.set_env(X="1")
            assert await two.query("m:count") == 1

    asyncio.run(main())


def test_it_says_what_it_needs() -> None:
    with pytest.raises(RuntimeError, match="needs asyncio"):
        convex_test({}).__aenter__().send(None)

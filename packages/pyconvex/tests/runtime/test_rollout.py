"""Deploys over documents that exist: new indexes, changed schemas, and calls meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyconvex.database import Committer, DatabaseError
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.calls import FunctionCall, Outcome, Success
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys import rollout
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.in_process import InProcessPool
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.runtime.isolates.pool import Pool
from pyconvex.runtime.running import schema_check
from pyconvex.storage import Store
from pyconvex.values import codec

CONFIG = "from pyconvex import define_app\napp = define_app()\n"
NOTES = """
from pyconvex import MutationCtx, QueryCtx, define_schema, define_table, mutation, query, v

schema = define_schema({{ {tables} }}, schema_validation={enforced})

@mutation
async def add(ctx: MutationCtx, n: int, extra: dict[str, str | float | None]) -> None:
    await ctx.db.insert("notes", {{"n": n, **extra}})

@mutation
async def change(ctx: MutationCtx, n: int, to: int) -> None:
    for note in await ctx.db.query("notes").collect():
        if note["n"] == n:
            await ctx.db.patch(note["_id"], {{"n": to}})

@mutation
async def clear(ctx: MutationCtx) -> None:
    for note in await ctx.db.query("notes").collect():
        await ctx.db.delete(note["_id"])

@query
async def by(ctx: QueryCtx, index: str) -> list[float]:
    return [note["n"] for note in await ctx.db.query("notes").with_index(index).collect()]

@query
async def version(ctx: QueryCtx) -> str:
    return {version!r}
"""
PLAIN = '"notes": define_table(v.any())'
NUMBERS = '"notes": define_table({"n": v.number(), "extra": v.optional(v.string())})'

POOLS: dict[str, Callable[[Callable[[], None]], Pool]] = {
    "in process": lambda on_lost: InProcessPool(),
    "isolates": lambda on_lost: IsolatePool(minimum=1, on_lost=on_lost),
}


class Deployment:
    def __init__(self, store: Store, host: Host, deployer: Deployer, folder: Path) -> None:
        self.store = store
        self.host = host
        self._deployer = deployer
        self._folder = folder

    async def deploy(self, tables: str, version: str = "", *, enforced: bool = True) -> None:
        schema = NOTES.format(tables=tables, version=version or tables, enforced=enforced)
        sources = {"convex_config.py": CONFIG, "schema.py": schema, "notes.py": ""}
        await self._deployer.deploy(sources, self._folder)

    async def call(self, kind: Any, name: str, **args: Any) -> Outcome:
        call = FunctionCall(
            kind=kind,
            path=f"schema:{name}",
            args=codec.encode(args),
            identity=ANONYMOUS,
            request_id="r",
            origin="tester",
        )
        run = self.host.run_query if kind == "query" else self.host.run_mutation
        return await run(call)

    async def add(self, *numbers: int, **extra: Any) -> None:
        for n in numbers:
            outcome = await self.call("mutation", "add", n=n, extra=extra)
            assert isinstance(outcome, Success), outcome

    async def by(self, index: str) -> Any:
        outcome = await self.call("query", "by", index=index)
        assert isinstance(outcome, Success), outcome
        return codec.decode(outcome.value)

    async def version(self) -> Any:
        outcome = await self.call("query", "version")
        assert isinstance(outcome, Success), outcome
        return codec.decode(outcome.value)

    async def staged_filled(self) -> None:
        """Return when the filling of staged indexes has ended."""
        filling = self._deployer._filling
        assert filling is not None
        await asyncio.wait_for(asyncio.shield(filling), 30)

    def entry_count(self) -> int:
        """Entries of all indexes of the notes, after dropped ones have been emptied."""
        while self.store.sweep():
            pass
        table = self._deployer._system.read(lambda tx: tx.table_named("", "notes"))
        assert table is not None
        sql = "SELECT count(*) FROM entries WHERE index_id > ? AND index_id < ? + 65536"
        count: int = self.store._db.execute(sql, (table.tablet, table.tablet)).get
        return count


@asynccontextmanager
async def deployment(
    data: Path, new_pool: Callable[[Callable[[], None]], Pool]
) -> AsyncIterator[Deployment]:
    async with AsyncExitStack() as stack:
        store = Store.open(data, sync=lambda fd: None)
        stack.callback(store.close)
        committer = Committer(store)
        stack.callback(committer.close)
        commits = CommitQueue(committer)
        system = SystemTransactions(store, commits)
        stack.callback(system.close)
        host = Host(store, committer, commits, system)
        stack.callback(host.close)
        deployer = Deployer(
            host,
            system,
            database=store.database,
            new_pool=new_pool,
            on_deployed=lambda spec: None,
        )
        stack.push_async_callback(deployer.stop)
        yield Deployment(store, host, deployer, data / "convex")


Body = Callable[[Deployment], Coroutine[Any, Any, None]]


@pytest.fixture(params=POOLS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Body], None]:
    def run(body: Body) -> None:
        async def main() -> None:
            async with deployment(tmp_path / "data", POOLS[request.param]) as deployed:
                await body(deployed)

        asyncio.run(main())

    return run


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "FILL_DOCUMENTS", 5)
    monkeypatch.setattr(schema_check, "PAGE_DOCUMENTS", 7)


def test_an_index_of_a_full_table_is_there_with_the_deploy(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN)
        await deployed.add(*range(30, 0, -1))
        await deployed.deploy(f'{PLAIN}.index("by_n", ["n"])')
        assert await deployed.by("by_n") == list(range(1, 31))
        await deployed.deploy(f'{PLAIN}.index("by_n", ["other", "n"])')
        assert await deployed.by("by_n") == list(range(1, 31))
        assert deployed.entry_count() == 60

    run(body)


def test_old_code_runs_and_writes_while_an_index_is_filled(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN, "old")
        await deployed.add(*range(40))
        deploying = asyncio.create_task(deployed.deploy(f'{PLAIN}.index("by_n", ["n"])', "new"))
        seen, n = set(), 100
        while not deploying.done():
            seen.add(await deployed.version())
            await deployed.add(n)
            await deployed.call("mutation", "change", n=n - 95, to=n + 1000)
            n += 1
        await deploying
        assert "old" in seen
        assert await deployed.version() == "new"
        in_index, in_table = await deployed.by("by_n"), await deployed.by("by_creation_time")
        assert in_index == sorted(in_table)
        assert len(in_table) == 40 + n - 100
        assert deployed.entry_count() == 2 * len(in_table)

    run(body)


def test_indexes_that_vanish_are_dropped_and_documents_stay(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(f'{PLAIN}.index("by_n", ["n"]).index("by_m", ["m"])')
        await deployed.add(3, 1, 2)
        assert deployed.entry_count() == 9
        await deployed.deploy(f'{PLAIN}.index("by_n", ["n"])')
        assert deployed.entry_count() == 6
        await deployed.deploy("")
        assert deployed.entry_count() == 3
        assert await deployed.by("by_creation_time") == [3, 1, 2]
        outcome = await deployed.call("query", "by", index="by_n")
        assert "Index notes.by_n not found." in outcome.message  # type: ignore[union-attr]
        await deployed.deploy(f'{PLAIN}.index("by_n", ["n"])')
        assert await deployed.by("by_n") == [1, 2, 3]

    run(body)


def test_a_document_that_does_not_fit_fails_the_deploy(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN, "old")
        await deployed.add(*range(20))
        await deployed.add(20, extra=7.0)
        head = deployed.store.head
        with pytest.raises(
            DatabaseError,
            match=r'(?s)^Document with ID "\w+" in table "notes" does not match the schema: '
            r".*Path: \.extra.*Value: 7\.0.*Validator: v\.string\(\)",
        ):
            await deployed.deploy(f'{NUMBERS}.index("by_n", ["n"])', "new")
        assert deployed.store.head == head, "a refused deploy changed something"
        assert await deployed.version() == "old"
        await deployed.add(21, extra=8.0)
        await deployed.call("mutation", "clear")
        await deployed.add(1)
        await deployed.deploy(f'{NUMBERS}.index("by_n", ["n"])', "new")
        assert await deployed.version() == "new"
        outcome = await deployed.call("mutation", "add", n=1, extra={"extra": 7.0})
        assert "Failed to insert or update a document" in outcome.message  # type: ignore[union-attr]

    run(body)


def test_only_tables_whose_validator_changed_are_checked(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    check_stored = rollout.Rollout._check_stored

    async def remember(self: Any, name: Any) -> None:
        checked.append(name.table)
        await check_stored(self, name)

    monkeypatch.setattr(rollout.Rollout, "_check_stored", remember)

    async def body(deployed: Deployment) -> None:
        other = '"other": define_table({"a": v.string()})'
        await deployed.deploy(f"{PLAIN}, {other}")
        assert checked == []
        await deployed.add(1)
        await deployed.deploy(f'{PLAIN}.index("by_n", ["n"]), {other}', "same validators")
        assert checked == []
        await deployed.deploy(f"{NUMBERS}, {other}")
        assert checked == ["notes"]
        await deployed.deploy(f"{NUMBERS}, {other}", "again")
        assert checked == ["notes"]
        await deployed.deploy(other)
        await deployed.deploy(f"{NUMBERS}, {other}", "and back")
        assert checked == ["notes", "notes"]

    run(body)


def test_a_write_during_the_deploy_that_fits_only_the_old_schema_fails_the_deploy(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write itself succeeds: what is in force is the old schema."""
    fill_indexes = rollout.Rollout._fill_indexes

    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN, "old")
        await deployed.add(*range(10))

        async def write_meanwhile(self: Any) -> None:
            await fill_indexes(self)
            await deployed.add(99, extra=7.0)

        monkeypatch.setattr(rollout.Rollout, "_fill_indexes", write_meanwhile)
        with pytest.raises(
            DatabaseError, match=r'^New document with ID "\w+" in table "notes" does not match'
        ):
            await deployed.deploy(f'{NUMBERS}.index("by_n", ["n"])', "new")
        assert await deployed.version() == "old"
        assert len(await deployed.by("by_creation_time")) == 11
        assert deployed.entry_count() == 11, "the index that was begun is still there"

        async def write_and_mend(self: Any) -> None:
            await fill_indexes(self)
            await deployed.add(98, extra=7.0)
            await deployed.call("mutation", "clear")
            await deployed.add(1)

        monkeypatch.setattr(rollout.Rollout, "_fill_indexes", write_and_mend)
        await deployed.call("mutation", "clear")
        await deployed.deploy(f'{NUMBERS}.index("by_n", ["n"])', "new")
        assert await deployed.version() == "new"
        assert await deployed.by("by_n") == [1]

    run(body)


def test_a_write_in_the_last_moment_is_checked_as_well(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up = rollout.Rollout.catch_up
    calls = 0

    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN, "old")
        await deployed.add(*range(10))

        async def write_after_the_first(self: Any) -> None:
            nonlocal calls
            calls += 1
            await catch_up(self)
            if calls == 1:
                await deployed.add(99, extra=7.0)

        monkeypatch.setattr(rollout.Rollout, "catch_up", write_after_the_first)
        with pytest.raises(DatabaseError, match=r"^New document"):
            await deployed.deploy(NUMBERS, "new")
        assert calls == 2
        assert await deployed.version() == "old"

    run(body)


def test_hot_tables_do_not_keep_a_deploy_from_coming_into_force(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN, "0")
        stopping = False

        async def write(start: int) -> int:
            n = start
            while not stopping:
                await deployed.add(n)
                n += 1
            return n - start

        writing = [asyncio.create_task(write(start * 10_000)) for start in range(6)]
        for version, tables in enumerate((NUMBERS, PLAIN, f'{NUMBERS}.index("by_n", ["n"])'), 1):
            await asyncio.wait_for(deployed.deploy(tables, str(version)), 30)
        stopping = True
        written = sum(await asyncio.gather(*writing))
        assert await deployed.version() == "3"
        assert len(await deployed.by("by_n")) == written

    run(body)


def test_impossible_indexes_fail_before_anything_is_checked(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN, "old")
        await deployed.add(1, extra=7.0)
        head = deployed.store.head
        with pytest.raises(DatabaseError, match="its name is reserved"):
            await deployed.deploy(f'{NUMBERS}.index("by_id", ["n"])')
        assert deployed.store.head == head
        assert await deployed.version() == "old"

    run(body)


def test_what_a_killed_server_had_begun_is_done_again(tmp_path: Path) -> None:
    async def begin_only() -> None:
        async with deployment(tmp_path / "data", POOLS["in process"]) as deployed:
            await deployed.deploy(PLAIN)
            await deployed.add(*range(12))
            indexes = {"by_n": ["n"], "by_m": ["m"]}

            def begin(tx: Any) -> None:
                tx.namespace("").begin_indexes("notes", indexes)
                tx.namespace("").fill_page("notes", b"", max_documents=3, max_bytes=10**6)

            await deployed._deployer._system.write(begin)

    async def go_on() -> None:
        async with deployment(tmp_path / "data", POOLS["in process"]) as deployed:
            await deployed.deploy(f'{PLAIN}.index("by_n", ["n"])')
            assert await deployed.by("by_n") == list(range(12))
            assert deployed.entry_count() == 24

    asyncio.run(begin_only())
    asyncio.run(go_on())


STAGED = f'{PLAIN}.index("by_n", ["n"], staged=True)'


def test_a_staged_index_is_built_after_the_deploy_and_used_when_the_flag_is_gone(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[str] = []
    fill_page = rollout._fill_page

    def remember(name: Any, after: bytes, tx: Any) -> Any:
        filled.append(name.table)
        return fill_page(name, after, tx)

    async def body(deployed: Deployment) -> None:
        await deployed.deploy(PLAIN)
        await deployed.add(*range(30, 0, -1))
        await deployed.deploy(STAGED)
        outcome = await deployed.call("query", "by", index="by_n")
        assert "Index notes.by_n is currently staged" in outcome.message  # type: ignore[union-attr]
        await deployed.add(31)
        await deployed.staged_filled()
        assert deployed.entry_count() == 62
        monkeypatch.setattr(rollout, "_fill_page", remember)
        await deployed.deploy(f'{PLAIN}.index("by_n", ["n"])')
        assert filled == []
        assert await deployed.by("by_n") == list(range(1, 32))

    run(body)


def test_filling_staged_indexes_goes_on_after_a_restart(tmp_path: Path) -> None:
    async def begin_only() -> None:
        async with deployment(tmp_path / "data", POOLS["in process"]) as deployed:
            await deployed.deploy(PLAIN)
            await deployed.add(*range(12))
            await deployed.deploy(STAGED)  # and the server ends before the first page

    async def go_on() -> None:
        async with deployment(tmp_path / "data", POOLS["in process"]) as deployed:
            await deployed.deploy(STAGED)
            await deployed.staged_filled()
            assert deployed.entry_count() == 24

    asyncio.run(begin_only())
    asyncio.run(go_on())


def test_a_failed_deploy_leaves_staged_indexes_as_they_were(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(STAGED)
        await deployed.add(*range(10))
        await deployed.staged_filled()
        await deployed.add(11, extra=7.0)
        with pytest.raises(DatabaseError, match=r"^Document with"):
            await deployed.deploy(f'{NUMBERS}.index("by_n", ["n"])')
        assert deployed.entry_count() == 22

    run(body)


def test_without_schema_validation_every_document_is_stored(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.deploy(f'{NUMBERS}.index("by_n", ["n"])', "loose", enforced=False)
        await deployed.add(1, extra=7.0)
        assert await deployed.by("by_n") == [1]
        with pytest.raises(DatabaseError, match=r"^Document with"):
            await deployed.deploy(NUMBERS, "strict")
        await deployed.call("mutation", "clear")
        await deployed.deploy(NUMBERS, "strict")
        outcome = await deployed.call("mutation", "add", n=1, extra={"extra": 7.0})
        assert "Failed to insert or update a document" in outcome.message  # type: ignore[union-attr]

    run(body)

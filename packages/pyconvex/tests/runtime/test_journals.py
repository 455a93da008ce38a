"""A subscribed page keeps its ends: over re-runs, new watchers, failures, restarts and deploys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyconvex.database import Committer
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.calls import Failure, FunctionCall, QueryResult, Success
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.in_process import InProcessPool
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.runtime.isolates.pool import Pool
from pyconvex.storage import Store
from pyconvex.values import codec

CONFIG = "from pyconvex import define_app\napp = define_app()\n"
NOTES = """
from pyconvex import (
    ActionCtx, ConvexError, Document, MutationCtx, PaginationOptions, PaginationResult, QueryCtx,
    action, mutation, query,
)

class Note(Document, table="notes", indexes={"by_n": ["n"]}):
    n: int

@mutation
async def add(ctx: MutationCtx, n: int) -> None:
    await ctx.db.insert(Note(n=n))

@mutation
async def remove(ctx: MutationCtx, n: int) -> None:
    note = await ctx.db.query(Note).with_index("by_n", n=n).unique()
    if note is not None:
        await ctx.db.delete(note._id)

@query
async def page(ctx: QueryCtx, pagination_opts: PaginationOptions) -> PaginationResult[int]:
    if await ctx.db.query(Note).with_index("by_n", n=13).first():
        raise ConvexError("unlucky")
    notes = await ctx.db.query(Note).with_index("by_n").paginate(pagination_opts)
    return notes.with_page([note.n for note in notes.page])

@query
async def downwards(ctx: QueryCtx, pagination_opts: PaginationOptions) -> PaginationResult[Note]:
    return await ctx.db.query(Note).with_index("by_n").order("desc").paginate(pagination_opts)

@query
async def two_pages(ctx: QueryCtx) -> list[int]:
    first = await ctx.run_query(downwards, PaginationOptions(num_items=1))
    second = await ctx.run_query(
        downwards, PaginationOptions(num_items=1, cursor=first.continue_cursor)
    )
    own = await ctx.db.query(Note).with_index("by_n").paginate(PaginationOptions(num_items=1))
    return [note.n for page in (first, second, own) for note in page.page]

@mutation
async def add_and_page(ctx: MutationCtx, n: int) -> PaginationResult[Note]:
    await ctx.db.insert(Note(n=n))
    return await ctx.db.query(Note).with_index("by_n").paginate(PaginationOptions(num_items=10))

@action
async def all_of_them(ctx: ActionCtx) -> list[int]:
    found: list[int] = []
    page = await ctx.run_query(downwards, PaginationOptions(num_items=2))
    while not page.is_done:
        found += [note.n for note in page.page]
        page = await ctx.run_query(
            downwards, PaginationOptions(num_items=2, cursor=page.continue_cursor)
        )
    return found
"""

POOLS: dict[str, Callable[[Callable[[], None]], Pool]] = {
    "in process": lambda on_lost: InProcessPool(),
    "isolates": lambda on_lost: IsolatePool(minimum=1, on_lost=on_lost),
}


class Deployment:
    """A host with the notes app, and the words of these tests."""

    def __init__(self, host: Host, deployer: Deployer, folder: Path) -> None:
        self.host = host
        self._deployer = deployer
        self._folder = folder

    async def deploy(self, notes: str = NOTES) -> None:
        await self._deployer.deploy({"convex_config.py": CONFIG, "notes.py": notes}, self._folder)

    async def add(self, *numbers: int) -> None:
        for n in numbers:
            outcome = await self.host.run_mutation(call("mutation", "add", {"n": n}))
            assert isinstance(outcome, Success), outcome

    async def remove(self, n: int) -> None:
        await self.host.run_mutation(call("mutation", "remove", {"n": n}))

    def follow(self, journal: str | None = None, **options: Any) -> Followed:
        return Followed(self.host, call("query", "page", opts(**options)), journal)

    async def value(self, kind: Any, name: str, args: dict[str, Any]) -> Any:
        run = {
            "query": self.host.run_query,
            "mutation": self.host.run_mutation,
            "action": self.host.run_action,
        }[kind]
        return value_of(await run(call(kind, name, args)))


class Followed:
    """A page that one client is subscribed to."""

    def __init__(self, host: Host, asked: FunctionCall, journal: str | None) -> None:
        self._host = host
        self._stale = asyncio.Event()
        self._watch = host.queries.watch(asked, journal, self._stale.set)
        self.result: QueryResult | None = None

    async def settled(self) -> Any:
        settled = await self._host.queries.settle([self._watch], 0)
        self._stale.clear()
        [self.result] = settled.results
        outcome = self.result.outcome
        return outcome if isinstance(outcome, Failure) else value_of(outcome)

    async def again(self) -> Any:
        await asyncio.wait_for(self._stale.wait(), 10)
        return await self.settled()

    @property
    def journal(self) -> str | None:
        assert self.result is not None
        return self.result.journal

    @property
    def is_stale(self) -> bool:
        return self._stale.is_set()

    def close(self) -> None:
        self._watch.close()


def call(kind: Any, name: str, args: dict[str, Any]) -> FunctionCall:
    return FunctionCall(
        kind=kind,
        path=f"notes:{name}",
        args=codec.encode(args),
        identity=ANONYMOUS,
        request_id="r",
        origin="tester",
    )


def opts(*, num_items: int = 2, **options: Any) -> dict[str, Any]:
    return {"paginationOpts": {"numItems": num_items, "cursor": None, **options}}


def value_of(outcome: Any) -> Any:
    assert isinstance(outcome, Success), outcome
    return codec.decode(outcome.value)


@asynccontextmanager
async def deployment(
    data: Path, new_pool: Callable[[Callable[[], None]], Pool]
) -> AsyncIterator[Deployment]:
    async with AsyncExitStack() as stack:
        store = Store.open(data)
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
        deployed = Deployment(host, deployer, data / "convex")
        await deployed.deploy()
        yield deployed


@pytest.fixture(params=POOLS)
def run(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[Callable[[Deployment], Coroutine[Any, Any, None]]], None]:
    """Runs a test's body on the one data folder; a second call is a restart of the server."""

    def run(body: Callable[[Deployment], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with deployment(tmp_path / "data", POOLS[request.param]) as deployed:
                await body(deployed)

        asyncio.run(main())

    return run


def test_pages_neither_overlap_nor_leave_a_gap(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.add(10, 20, 30, 40)
        one = deployed.follow()
        first = await one.settled()
        assert (first["page"], first["isDone"]) == ([10, 20], False)
        assert one.journal is not None
        two = deployed.follow(cursor=first["continueCursor"])
        assert (await two.settled())["page"] == [30, 40]
        await deployed.add(15)
        assert (await one.again())["page"] == [10, 15, 20]
        assert not two.is_stale
        await deployed.remove(30)
        assert (await two.again())["page"] == [40]
        assert not one.is_stale
        await deployed.add(25, 50)
        assert (await two.again())["page"] == [25, 40]
        assert (await one.settled())["page"] == [10, 15, 20]

    run(body)


def test_a_journal_that_comes_back_gives_the_same_ends(run: Any) -> None:
    kept: list[str | None] = []

    async def before(deployed: Deployment) -> None:
        await deployed.add(10, 20, 30)
        one = deployed.follow()
        await one.settled()
        one.close()
        await deployed.add(15)
        back, new = deployed.follow(one.journal), deployed.follow()
        assert (await back.settled())["page"] == [10, 15, 20]
        assert back.journal == one.journal
        assert (await new.settled())["page"] == [10, 15]
        assert new.journal != one.journal
        await deployed.deploy(NOTES + "\n# deployed again\n")
        assert (await back.again())["page"] == [10, 15, 20]
        kept.append(back.journal)

    async def after_a_restart(deployed: Deployment) -> None:
        back = deployed.follow(*kept)
        assert (await back.settled())["page"] == [10, 15, 20]

    run(before)
    run(after_a_restart)


def test_whoever_watches_from_now_on_gets_as_many_as_were_asked_for(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.add(10, 20, 30)
        one, same = deployed.follow(), deployed.follow()
        await one.settled()
        await same.settled()
        assert same.result is one.result
        await deployed.add(15)
        assert (await deployed.value("query", "page", opts()))["page"] == [10, 15]
        late = deployed.follow()
        assert (await late.settled())["page"] == [10, 15]
        assert (await same.again())["page"] == [10, 15, 20]
        assert (await one.again())["page"] == [10, 15, 20]

    run(body)


def test_a_run_that_fails_keeps_the_journal(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.add(10, 20, 30)
        one = deployed.follow()
        await one.settled()
        journal = one.journal
        await deployed.add(13)
        failure = await one.again()
        assert failure.data == b'"unlucky"'
        assert one.journal == journal
        await deployed.remove(13)
        await deployed.add(15)
        await one.settled()
        assert (await one.settled())["page"] == [10, 15, 20]

    run(body)


def test_a_foreign_cursor_is_the_error_that_clients_know(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.add(10, 20, 30)
        page = await deployed.value("query", "page", opts())
        foreign = opts(cursor=page["continueCursor"])
        outcome = await deployed.host.run_query(call("query", "downwards", foreign))
        assert isinstance(outcome, Failure)
        assert "InvalidCursor" in outcome.message
        expected = {"isConvexSystemError": True, "paginationError": "InvalidCursor"}
        assert outcome.data is not None
        assert codec.decode(outcome.data) == expected
        made_up = deployed.follow("journal")
        failure = await made_up.settled()
        assert isinstance(failure, Failure)
        assert "InvalidCursor" in failure.message

    run(body)


def test_nested_queries_have_a_page_each_and_leave_no_journal(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.add(10, 20, 30)
        asked = call("query", "two_pages", {})
        followed = Followed(deployed.host, asked, None)
        assert await followed.settled() == [30, 20, 10]
        await deployed.add(40)
        assert await followed.again() == [40, 30, 10]
        await deployed.add(5)
        assert await followed.again() == [40, 30, 5, 10]

    run(body)


def test_mutations_and_actions_go_through_pages_too(run: Any) -> None:
    async def body(deployed: Deployment) -> None:
        await deployed.add(10, 20)
        page = await deployed.value("mutation", "add_and_page", {"n": 30})
        assert [note["n"] for note in page["page"]] == [10, 20, 30]
        assert page["isDone"] is True
        await deployed.add(40)
        assert await deployed.value("action", "all_of_them", {}) == [40, 30, 20, 10]

    run(body)

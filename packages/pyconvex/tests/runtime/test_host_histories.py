"""Random concurrent calls of a real host: the commits, in order, must explain every answer.

Functions follow a plan from their arguments and write what follows from all that they read, so a
model that carries out the same plans one after the other, in the order of commit timestamps, gives
the same answers only if the history is serial. Queries must be true at the timestamp that they
name.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from pyconvex.database import Committer, ReadSet
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.calls import FunctionCall, HostError, Outcome, Success
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.storage import Proposal, Store
from pyconvex.values import codec

KEYS = 12
CALLERS = 8
MODULUS = 1_000_003
SOURCES = {
    "convex_config.py": "from pyconvex import define_app\napp = define_app()\n",
    "cells.py": """
from pyconvex import Document, MutationCtx, QueryCtx, mutation, query

class Cell(Document, table="cells", indexes={"by_k": ["k"]}):
    k: int
    v: int

class Fixed(Document, table="fixed"):
    v: int

@mutation
async def fix(ctx: MutationCtx, count: int) -> list[str]:
    return [await ctx.db.insert(Fixed(v=0)) for _ in range(count)]

class Reader:
    def __init__(self, db):
        self.db, self.seen = db, []

    async def fetch(self, id):
        self.seen.append((await self.db.get(id)).v)

    async def read(self, k):
        cell = await self.db.query(Cell).with_index("by_k", k=k).unique()
        self.seen.append(-1 if cell is None else cell.v)
        return cell

    async def cells_between(self, low, high):
        cells = await self.db.query(Cell).with_index("by_k").gte(k=low).lt(k=high).collect()
        self.seen += [cell.k * 7 + cell.v for cell in cells]

    async def first_after(self, low):
        cell = await self.db.query(Cell).with_index("by_k").gte(k=low).first()
        self.seen.append(-1 if cell is None else cell.k * 7 + cell.v)

    def value(self):
        return (sum(self.seen) * 31 + len(self.seen)) % 1_000_003

@query
async def look(ctx: QueryCtx, plan: list[list[str | int]]) -> list[int]:
    reader = Reader(ctx.db)
    for what, *at in plan:
        await getattr(reader, what)(*at)
    return reader.seen

@mutation
async def change(ctx: MutationCtx, plan: list[list[str | int]]) -> list[int]:
    reader = Reader(ctx.db)
    for what, *at in plan:
        if what == "write":
            cell = await ctx.db.query(Cell).with_index("by_k", k=at[0]).unique()
            if cell is None:
                await ctx.db.insert(Cell(k=at[0], v=reader.value()))
            else:
                await ctx.db.patch(cell._id, {"v": reader.value()})
        elif what == "set":
            await ctx.db.patch(at[0], {"v": reader.value()})
        elif what == "remove":
            cell = await reader.read(at[0])
            if cell is not None:
                await ctx.db.delete(cell._id)
        else:
            await getattr(reader, what)(*at)
    return reader.seen
""",
}

Plan = list[list[Any]]
Answered = tuple[Plan, list[int]]


class Model:
    """The same plans, carried out one after the other."""

    def __init__(self) -> None:
        self.cells: dict[int | str, int] = {}

    def explain(self, commits: list[Answered]) -> bool:
        """Whether one of these was the commit of its timestamp, the others having changed nothing:
        a change without an effect is answered at its snapshot, as if it were a look.
        """
        before = self.cells
        for plan, seen in commits:
            self.cells = dict(before)
            if self.carry_out(plan) != seen:
                continue
            after = dict(self.cells)
            others = [each for each in commits if each[0] is not plan]
            if all(self.carry_out(other) == said for other, said in others) and (
                self.cells == after
            ):
                return True
        return False

    def carry_out(self, plan: Plan) -> list[int]:
        seen: list[int] = []
        for what, *at in plan:
            match what:
                case "read" | "remove":
                    seen.append(self.cells.get(at[0], -1))
                    if what == "remove":
                        self.cells.pop(at[0], None)
                case "cells_between":
                    low, high = at
                    seen += [k * 7 + v for k, v in self._sorted() if low <= k < high]
                case "first_after":
                    later = [(k, v) for k, v in self._sorted() if k >= at[0]]
                    seen.append(later[0][0] * 7 + later[0][1] if later else -1)
                case "fetch":
                    seen.append(self.cells.get(at[0], 0))
                case "write" | "set":
                    self.cells[at[0]] = (sum(seen) * 31 + len(seen)) % MODULUS
        return seen

    def _sorted(self) -> list[tuple[int, int]]:
        return sorted((k, v) for k, v in self.cells.items() if isinstance(k, int))


def random_plan(random: Random, ids: list[str], *, writing: bool) -> Plan:
    plan = [random_read(random, ids) for _ in range(random.randrange(1, 4))]
    if writing:
        for _ in range(random.randrange(1, 3)):
            match random.randrange(6):
                case 0:
                    plan.append(["remove", random.randrange(KEYS)])
                case 1 | 2:
                    plan.append(["set", random.choice(ids)])
                case _:
                    plan.append(["write", random.randrange(KEYS)])
    return plan


def random_read(random: Random, ids: list[str]) -> list[Any]:
    match random.randrange(5):
        case 3 | 4:
            return ["fetch", random.choice(ids)]
        case 0:
            return ["read", random.randrange(KEYS)]
        case 1:
            low = random.randrange(KEYS)
            return ["cells_between", low, low + random.randrange(1, 4)]
        case _:
            return ["first_after", random.randrange(KEYS)]


class History:
    """What was answered, with the timestamps that order it."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, Plan, list[int]]] = []
        self.looks: list[tuple[int, Plan, list[int]]] = []
        self.failures: list[str] = []

    def is_serial(self) -> bool:
        """Whether the model gives every answer; a failure is one that no serial history gives."""
        changes: dict[int, list[Answered]] = {}
        for ts, *answered in self.changes:
            changes.setdefault(ts, []).append(tuple(answered))
        timestamps = sorted(changes)
        looks: dict[int, list[Answered]] = {}
        for ts, *answered in self.looks:
            looks.setdefault(bisect_right(timestamps, ts), []).append(tuple(answered))
        model = Model()
        for place, ts in enumerate([*timestamps, None]):
            if any(model.carry_out(plan) != seen for plan, seen in looks.get(place, ())):
                return False
            if ts is not None and not model.explain(changes[ts]):
                return False
        return not self.failures


@asynccontextmanager
async def host_with(
    data: Path, commits_of: Callable[[Committer], CommitQueue]
) -> AsyncIterator[Host]:
    async with AsyncExitStack() as stack:
        store = Store.open(data, sync=lambda fd: None)
        stack.callback(store.close)
        committer = Committer(store)
        stack.callback(committer.close)
        commits = commits_of(committer)
        system = SystemTransactions(store, commits)
        stack.callback(system.close)
        host = Host(store, committer, commits, system)
        stack.callback(host.close)
        deployer = Deployer(
            host,
            system,
            database=store.database,
            new_pool=lambda on_lost: IsolatePool(minimum=3, maximum=3, on_lost=on_lost),
            on_deployed=lambda spec: None,
        )
        stack.push_async_callback(deployer.stop)
        await deployer.deploy(SOURCES, data / "convex")
        yield host


async def fixed_ids(host: Host) -> list[str]:
    """Documents that are only ever read and written by their ids."""
    outcome = await call(host, "fix", {"count": 5})
    assert isinstance(outcome, Success), outcome
    return [str(id) for id in codec.decode(outcome.value)]  # type: ignore[union-attr]


async def call(host: Host, name: str, arguments: dict[str, Any]) -> Outcome:
    asked = FunctionCall(
        kind="query" if name == "look" else "mutation",
        path=f"cells:{name}",
        args=codec.encode(arguments),
        identity=ANONYMOUS,
        request_id="r",
        origin="tester",
    )
    return await (host.run_query(asked) if name == "look" else host.run_mutation(asked))


def run_history(
    data: Path,
    seed: int,
    calls: int,
    commits_of: Callable[[Committer], CommitQueue] = CommitQueue,
) -> History:
    history, random = History(), Random(seed)
    left = calls

    async def caller(host: Host, ids: list[str]) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            writing = random.random() < 0.8
            plan = random_plan(random, ids, writing=writing)
            try:
                outcome = await call(host, "change" if writing else "look", {"plan": plan})
            except HostError as error:
                if error.status != 503:  # but for who is out of retries
                    history.failures.append(error.message)
                continue
            if not isinstance(outcome, Success):
                history.failures.append(outcome.message)
                continue
            seen = [int(n) for n in codec.decode(outcome.value)]  # type: ignore[union-attr,arg-type]
            (history.changes if writing else history.looks).append((outcome.ts, plan, seen))

    async def main() -> None:
        async with host_with(data, commits_of) as host:
            ids = await fixed_ids(host)
            await asyncio.gather(*(caller(host, ids) for _ in range(CALLERS)))

    asyncio.run(main())
    return history


def test_a_history_is_serial(tmp_path: Path) -> None:
    history = run_history(tmp_path / "data", seed=1, calls=600)
    assert len(history.changes) > 300
    assert len(history.looks) > 50
    assert not history.failures
    assert history.is_serial()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_hundred_thousand_calls_are_serial(tmp_path: Path, seed: int) -> None:
    history = run_history(tmp_path / "data", seed, calls=10_000)
    assert len(history.changes) + len(history.looks) > 9_900
    assert not history.failures
    assert history.is_serial()


class Careless(CommitQueue):
    """Forgets a part of what proposals read."""

    def __init__(self, committer: Committer, part: str) -> None:
        super().__init__(committer)
        self._part = part

    def submit(self, proposal: Proposal, *, ahead: bool = False) -> Any:
        if not ahead:  # deploys go ahead of everybody
            proposal = msgspec.structs.replace(proposal, reads=self._without(proposal.reads))
        return super().submit(proposal, ahead=ahead)

    def _without(self, packed: bytes) -> bytes:
        reads = ReadSet.decode(packed)
        for index in reads.indexes.values():
            if self._part == "points":
                index.points = set()
            else:
                index.starts = index.ends = []
        return reads.encode()


@pytest.mark.parametrize("part", ["points", "ranges"])
def test_forgotten_reads_are_noticed(tmp_path: Path, part: str) -> None:
    for seed in range(1, 6):
        history = run_history(
            tmp_path / f"data{seed}", seed, 600, lambda committer: Careless(committer, part)
        )
        if not history.is_serial():
            return
    pytest.fail(f"no history showed that {part} were forgotten")

"""The database by itself and under the host: hot documents, scans, and who a commit concerns.

Owns the claims about commits that wait for a slow disk and about reads that don't depend on a
table's size. Runs our store, committer and isolates without a network, so that what is measured is
theirs; each claim stands beside the plain way to do it, in the same run.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from benchmarks import machine
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from benchmarks.servers import ROOT
from pyconvex.database import Bound, Bounds, Catalog, Committed, Committer, Namespace, Transaction
from pyconvex.database.catalog import TableInfo
from pyconvex.database.reads import ReadSet
from pyconvex.database.subscriptions import Subscriptions
from pyconvex.database.writelog import WriteLog
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.app.loader import read_sources
from pyconvex.runtime.calls import FunctionCall, Success
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.storage import DocumentWrite, Proposal, Store
from pyconvex.storage.durability import SyncCall, sync_data
from pyconvex.storage.model import FIRST_DATA_TABLET
from pyconvex.values import codec, ids

CLAIM = (
    "Commits are visible before they are durable, so a document that everybody writes takes "
    "commits at the speed of execution, whatever a sync costs; reads cost what they return, not "
    "what the table holds; and finding the subscriptions that a commit concerns doesn't mean "
    "asking them all."
)
NOTES = [
    "Mutations run in isolates, as calls of a host without a network around it, and count once "
    "durable. Their peer is the same host, each mutation durable before the next begins.",
    "The load generator, the host and the isolates share the cores.",
    "A scan decodes each document. Its peer is the standard library's `sqlite3` and `json` on a "
    "plain table with an index, in one statement.",
]
CALLERS = 50
ACCOUNTS = 2_000
SLOW_SYNC_S = 0.002
ONE_BY_ONE = "one durable at a time"
SMALL_TABLE = "a table of 1,000"
PLAIN_SQLITE = "sqlite3 + json"
EVERY_ONE = "asking every subscription"


@dataclass(frozen=True)
class Size:
    """How much one run does."""

    seconds: float
    rounds: int
    documents: int
    subscriptions: int


FULL = Size(seconds=2.0, rounds=3, documents=1_000_000, subscriptions=10_000)
QUICK = Size(seconds=1.0, rounds=1, documents=30_000, subscriptions=10_000)


def main() -> None:
    quick = options(__doc__).parse_args().quick
    size = QUICK if quick else FULL
    about = machine.describe()
    growing, inside = machine.sync_ms(growing=True), machine.sync_ms(growing=False)
    cases = [*_mutations(size), *_reads(size), _deciding(size)]
    result = Result(
        name="database",
        claim=CLAIM,
        cases=cases,
        machine=about,
        versions=machine.versions("pyconvex", "apsw"),
        settings={
            "callers at once": str(CALLERS),
            "accounts, when spread": str(ACCOUNTS),
            "documents": f"{size.documents:,}",
            "subscriptions": f"{size.subscriptions:,}",
            "sync of 4 KiB": f"{growing:.2f} ms as a file grows, {inside:.2f} ms inside it",
            "seconds": str(size.seconds),
            "rounds": str(size.rounds),
        },
        notes=NOTES,
    )
    publish(result, keep=not quick)


# Mutations


def _mutations(size: Size) -> Iterator[Case]:
    for slower, sync in (("", sync_data), (", sync 2 ms slower", _slow_sync)):
        for name, hot in (("one hot document", True), ("spread", False)):
            found: dict[str, list[float]] = {OURS: [], ONE_BY_ONE: []}
            for number in range(size.rounds):
                for subject in found:
                    print(f"  round {number + 1} of {size.rounds}: {name}{slower}, {subject}")
                    found[subject].append(_rate(sync, hot, subject == ONE_BY_ONE, size.seconds))
            figures = {subject: Figure.of(rates) for subject, rates in found.items()}
            yield Case(f"{name}{slower}", "durable mutations a second", True, figures)


def _slow_sync(fd: int) -> None:
    time.sleep(SLOW_SYNC_S)
    sync_data(fd)


def _rate(sync: SyncCall, hot: bool, one_by_one: bool, seconds: float) -> float:
    async def run() -> float:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            async with hosted(Path(folder), sync) as host:
                return await _deposits(host, hot, one_by_one, seconds)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


@asynccontextmanager
async def hosted(folder: Path, sync: SyncCall) -> AsyncIterator[Host]:
    """The shop's functions on a host without a network."""
    store = Store.open(folder / "data", sync=sync)
    committer = Committer(store)
    commits = CommitQueue(committer)
    system = SystemTransactions(store, commits)
    host = Host(store, committer, commits, system)
    deployer = Deployer(
        host,
        system,
        database=store.database,
        new_pool=lambda on_lost: IsolatePool(minimum=2, on_lost=on_lost),
        on_deployed=lambda spec: None,
    )
    try:
        functions = ROOT / "benchmarks" / "shop_functions"
        await deployer.deploy(read_sources(functions), functions)
        yield host
    finally:
        await deployer.stop()
        host.close()
        system.close()
        committer.close()
        store.close()


async def _deposits(host: Host, hot: bool, one_by_one: bool, seconds: float) -> float:
    accounts = await _filled(host, 1 if hot else ACCOUNTS)
    chance = random.Random(20)
    warm = time.perf_counter() + min(seconds, 1.0)
    until = warm + seconds
    done = 0
    turn = asyncio.Lock()

    async def caller() -> None:
        nonlocal done
        while (now := time.perf_counter()) < until:
            arguments = {"account": chance.choice(accounts), "amount": 1.5, "note": "a deposit"}
            deposit = _call(host, "accounts:deposit", arguments)
            if one_by_one:
                async with turn:
                    await deposit
            else:
                await deposit
            done += now >= warm

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done / seconds


async def _filled(host: Host, count: int) -> list[str]:
    ids: list[str] = []
    for start in range(0, count, 500):
        rows = [
            {"name": f"Account {n}", "email": f"person-{n}@example.com", "balance": 100.0}
            for n in range(start, min(start + 500, count))
        ]
        filled = codec.decode(await _call(host, "accounts:fill", {"rows": rows}))
        assert isinstance(filled, list)
        ids += map(str, filled)
    return ids


async def _call(host: Host, path: str, arguments: dict[str, object]) -> bytes:
    outcome = await host.run_mutation(
        FunctionCall(
            kind="mutation",
            path=path,
            args=codec.encode(arguments),
            identity=ANONYMOUS,
            request_id="bench",
            origin="tester",
        )
    )
    if not isinstance(outcome, Success):
        raise SystemExit(f"{path} failed: {outcome.message}")
    return outcome.value


# Reads


def _reads(size: Size) -> list[Case]:
    with _table(size.documents) as large, _table(1_000) as small, _plain(size.documents) as plain:
        print(f"  scans and takes over {size.documents:,} documents")
        chance = random.Random(20)
        starts = [float(chance.randrange(size.documents - 1_000)) for _ in range(200)]
        scan = {
            OURS: _median_us([partial(large, _scan, at) for at in starts]),
            PLAIN_SQLITE: _median_us([partial(plain, at) for at in starts]),
        }
        take = {
            OURS: _median_us([partial(large, _take, 0.0)] * 2_000),
            SMALL_TABLE: _median_us([partial(small, _take, 0.0)] * 2_000),
        }
    title = f"{size.documents:,} documents"
    return [
        Case(f"1,000 of {title} by an index", "µs", False, scan),
        Case(f"newest 10 of {title}", "µs", False, take),
    ]


def _scan(ns: Namespace, start: float) -> int:
    bounds = Bounds(lower=Bound("n", start, True), upper=Bound("n", start + 1_000, False))
    return sum(1 for _ in ns.scan("items", "by_n", bounds))


def _take(ns: Namespace, _: float) -> int:
    rows = ns.scan("items", descending=True, expect=10)
    return sum(1 for _, _ in zip(range(10), rows, strict=False))


Look = Callable[[Callable[[Namespace, float], int], float], int]


@contextmanager
def _table(documents: int) -> Iterator[Look]:
    """A table with that many documents; what is given looks at it in a transaction of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = Store.open(Path(folder) / "data", sync=lambda fd: None)
        committer, reader, catalog = Committer(store), store.reader(), Catalog()

        def begin() -> Transaction:
            return Transaction(reader, now_ms=1e12, random=random.Random(20), catalog=catalog)

        with begin() as tx:
            tx.namespace("").declare_table("items", {"by_n": ["n"]})
            [outcome] = committer.commit([tx.proposal()])
            assert isinstance(outcome, Committed)
        with begin() as tx:
            items = tx.table_named("", "items")
        assert items is not None
        for start in range(0, documents, 10_000):
            numbers = range(start, min(start + 10_000, documents))
            store.append([Proposal(0, b"", tuple(_item(items, n) for n in numbers))])
            store.checkpoint_if_due(idle=False)

        def look(work: Callable[[Namespace, float], int], at: float) -> int:
            with begin() as tx:
                return work(tx.namespace(""), at)

        yield look
        reader.close()
        committer.close()
        store.close()


def _item(table: TableInfo, n: int) -> DocumentWrite:
    """What inserting item `n` would propose, made faster."""
    internal = n.to_bytes(16, "big")
    document = {
        "_creationTime": 1e12 + n,
        "_id": ids.encode_id(table.number, internal),
        "n": float(n),
        "text": f"item number {n}",
    }
    doc = codec.encode(document)
    return DocumentWrite(table.tablet, internal, doc, None, (), table.keys_of(document))


@contextmanager
def _plain(documents: int) -> Iterator[Callable[[float], int]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        db = sqlite3.connect(Path(folder) / "plain.sqlite3")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, n REAL, doc TEXT)")
        rows = ((n, n, json.dumps({"n": n, "text": f"item number {n}"})) for n in range(documents))
        db.executemany("INSERT INTO items VALUES (?, ?, ?)", rows)
        db.execute("CREATE INDEX by_n ON items (n)")
        db.commit()

        def look(start: float) -> int:
            sql = "SELECT doc FROM items WHERE n >= ? AND n < ? ORDER BY n"
            found = db.execute(sql, (start, start + 1_000)).fetchall()
            return len([json.loads(doc) for (doc,) in found])

        yield look
        db.close()


def _median_us(looks: list[Callable[[], int]]) -> Figure:
    taken = []
    for look in looks:
        began = time.perf_counter()
        look()
        taken.append((time.perf_counter() - began) * 1e6)
    ranked = sorted(taken)
    return Figure(
        ranked[len(ranked) // 2], ranked[len(ranked) // 20], ranked[len(ranked) * 19 // 20]
    )


# Who a commit concerns


def _deciding(size: Size) -> Case:
    """Every subscription reads a range and a document of its own; a commit touches one of them."""
    print(f"  deciding among {size.subscriptions:,} subscriptions")
    tablet, index = FIRST_DATA_TABLET, FIRST_DATA_TABLET + 1
    subscriptions = Subscriptions(WriteLog(0))
    sets: list[ReadSet] = []
    for n in range(size.subscriptions):
        reads = ReadSet()
        reads.add_point(tablet, b"%08d" % n)
        reads.add_range(index, b"%08d" % n, b"%08d\xff" % n)
        sets.append(reads)
        subscriptions.add(reads, 0, lambda subscription: None)
    chance = random.Random(20)
    writes = []
    for _ in range(500):
        n = chance.randrange(size.subscriptions)
        key = (index, b"%08d\x01" % n)
        writes.append(DocumentWrite(tablet, b"%08d" % n, b"{}", 1, (key,), (key,)))

    def decide(ts: int, write: DocumentWrite) -> Callable[[], int]:
        return lambda: subscriptions.publish(ts, [write])

    def ask_all(write: DocumentWrite) -> Callable[[], int]:
        touched = write.touched()
        return lambda: sum(any(reads.overlaps(*at) for at in touched) for reads in sets)

    ours = _median_us([decide(ts, write) for ts, write in enumerate(writes, 1)])
    peer = _median_us([ask_all(write) for write in writes[:20]])
    name = f"what a commit concerns of {size.subscriptions:,} subscriptions"
    return Case(name, "µs", False, {OURS: ours, EVERY_ONE: peer})


if __name__ == "__main__":
    main()

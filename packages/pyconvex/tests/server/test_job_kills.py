"""A server and its isolates, killed at random under a load of scheduled functions.

What was scheduled takes effect exactly once, with everything that it writes: documents, queue rows,
further jobs. Cron jobs take effect at most once for each of their times, actions at most once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from server_process import DEADLINE_S, ask, serving

from pyconvex.database import Catalog, Transaction
from pyconvex.runtime.scheduling import cron_jobs
from pyconvex.storage import Store
from pyconvex.storage.reader import NO_LIMIT

CALLERS = 3
#: Jobs that failed with their process wait up to a second, then up to two, and so on.
SETTLE_S = 120.0

CONFIG = """
from pyconvex import define_app
app = define_app()
app.queue("outbox")
"""
CRONS = """
from pyconvex import cron_jobs
from . import jobs
crons = cron_jobs()
crons.interval("beat", 1, jobs.beat)
"""
JOBS = """
import time
from typing import Any

from pyconvex import *


class Started(Document, table="started"):
    n: int


class Done(Document, table="done"):
    n: int
    step: int


class Acted(Document, table="acted"):
    n: int


class Beat(Document, table="beats"):
    at: float


class Total(Document, table="totals"):
    count: int


@mutation
async def start(ctx: MutationCtx, n: int, delay: float) -> None:
    await ctx.db.insert(Started(n=n))
    await ctx.scheduler.run_after(delay, work, n, 2)
    if n % 3 == 0:
        await ctx.scheduler.run_after(delay, act, n)


@internal_mutation
async def work(ctx: MutationCtx, n: int, steps: int) -> None:
    await ctx.db.insert(Done(n=n, step=steps))
    await ctx.enqueue("outbox", {"n": n, "step": steps})
    total = await ctx.db.query(Total).first()
    if total is None:
        await ctx.db.insert(Total(count=1))
    else:
        await ctx.db.patch(total._id, {"count": total.count + 1})
    if steps:
        await ctx.scheduler.run_after(0, work, n, steps - 1)


@internal_mutation
async def acted(ctx: MutationCtx, n: int) -> None:
    await ctx.db.insert(Acted(n=n))


@internal_action
async def act(ctx: ActionCtx, n: int) -> None:
    await ctx.run_mutation(acted, n)


@internal_mutation
async def beat(ctx: MutationCtx) -> None:
    await ctx.db.insert(Beat(at=time.time() * 1000))
    await ctx.enqueue("outbox", {"beat": time.time() * 1000})


@query
async def started(ctx: QueryCtx) -> list[int]:
    return [row.n async for row in ctx.db.query(Started)]


@query
async def done(ctx: QueryCtx, pagination_opts: PaginationOptions) -> PaginationResult[Done]:
    return await ctx.db.query(Done).paginate(pagination_opts)


@query
async def all_acted(ctx: QueryCtx) -> list[int]:
    return [row.n async for row in ctx.db.query(Acted)]


@query
async def beats(ctx: QueryCtx) -> int:
    return len(await ctx.db.query(Beat).collect())


@query
async def total(ctx: QueryCtx) -> int:
    total = await ctx.db.query(Total).first()
    return 0 if total is None else total.count


@query
async def jobs(ctx: QueryCtx, pagination_opts: PaginationOptions) -> PaginationResult[Any]:
    jobs = ctx.db.system.query("_scheduled_functions")
    return await jobs.paginate(pagination_opts)
"""


@dataclass
class Load:
    """Callers that schedule, and what was acknowledged to them."""

    random: Random
    acknowledged: set[int] = field(default_factory=set)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self) -> tuple[int, float]:
        with self._lock:
            self._next += 1
            return self._next, self.random.choice([0.0, 0.0, 0.05, 0.5])

    def call(self, url: str, stop: threading.Event) -> None:
        while not stop.is_set():
            n, delay = self.number()
            try:
                ask(url, "mutation", "jobs:start", n=n, delay=delay)
            except (ConnectionError, AssertionError):
                continue  # the server or the isolate is gone; it may have committed before
            self.acknowledged.add(n)
            stop.wait(0.01)


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and theirs: template, isolates, the lane process."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                stat = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                parents[int(entry)] = int(stat[1])
    found, level = [], [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def kill_one(process: subprocess.Popen[str], random: Random) -> None:
    """Kill one process that the server has started, whatever it is."""
    victims = descendants(process.pid)
    if victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(victims), signal.SIGKILL)


def load_and_kill(folder: Path, load: Load, random: Random, kills: int) -> None:
    """Serve, kill so many processes of the server, then the server itself."""
    stop = threading.Event()
    with serving(folder) as (process, url):
        callers = [threading.Thread(target=load.call, args=(url, stop)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            for _ in range(kills):
                before = len(load.acknowledged)
                deadline = time.monotonic() + DEADLINE_S
                enough = random.randrange(1, 12)
                while len(load.acknowledged) < before + enough:
                    assert time.monotonic() < deadline, "nothing goes on"
                    stop.wait(0.005)
                kill_one(process, random)
            stop.wait(random.random() * 0.3)
            process.kill()
        finally:
            stop.set()
            for caller in callers:
                caller.join(DEADLINE_S)


def pages(url: str, path: str) -> list[dict[str, Any]]:
    """Everything that a paginated query gives."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        options = {"numItems": 500, "cursor": cursor}
        page = ask(url, "query", path, paginationOpts=options)
        found += page["page"]
        if page["isDone"]:
            return found
        cursor = page["continueCursor"]


def settled_jobs(url: str) -> list[tuple[str, str, int]]:
    """Name, state and number of each job, once none waits or runs any more."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        found = pages(url, "jobs:jobs")
        jobs = [(job["name"], job["state"]["kind"], int(job["args"][0]["n"])) for job in found]
        left = [job for job in jobs if job[1] in ("pending", "inProgress")]
        if not left:
            return jobs
        assert time.monotonic() < deadline, f"jobs are left: {left[:5]} and {len(left)} in all"
        threading.Event().wait(0.2)


def outbox_and_period(data: Path) -> tuple[list[dict[str, Any]], float]:
    """What stands in the queue, and a time at which the cron job is due."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            store = Store.open(data)
            break
        except Exception:  # the killed server's lock goes with its last descriptor
            assert time.monotonic() < deadline
            time.sleep(0.01)
    reader = store.reader()
    head = reader.begin()
    tx = Transaction(reader, now_ms=0.0, random=Random(0), catalog=Catalog())
    (cron,) = cron_jobs.everything(tx)
    number = tx.namespace("").queue_number("outbox")
    assert number is not None
    rows = reader.queue_rows(number, limit=NO_LIMIT, up_to_ts=head.ts)
    reader.close()
    store.close()
    return [json.loads(row.body) for row in rows], cron.due_ms


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("rounds", "kills"), [(2, 3), pytest.param(25, 9, marks=pytest.mark.long)])
def test_scheduled_work_takes_effect_exactly_once(tmp_path: Path, rounds: int, kills: int) -> None:
    folder = tmp_path / "convex"
    folder.mkdir()
    for name, text in (("convex_config", CONFIG), ("crons", CRONS), ("jobs", JOBS)):
        (folder / f"{name}.py").write_text(text)
    random = Random(rounds)
    load = Load(random)
    for _ in range(rounds):
        load_and_kill(tmp_path, load, random, kills)
    with serving(tmp_path) as (process, url):
        jobs = settled_jobs(url)
        started = Counter(int(n) for n in ask(url, "query", "jobs:started"))
        done = [(int(row["n"]), int(row["step"])) for row in pages(url, "jobs:done")]
        acted = Counter(int(n) for n in ask(url, "query", "jobs:all_acted"))
        total = ask(url, "query", "jobs:total")
        beaten = ask(url, "query", "jobs:beats")
        process.terminate()
        process.wait(DEADLINE_S)

    assert max(started.values()) == 1
    assert load.acknowledged <= set(started)
    assert Counter(done) == Counter((n, step) for n in started for step in range(3))
    assert total == len(done)
    assert max(acted.values(), default=0) <= 1
    assert set(acted) <= {n for n in started if n % 3 == 0}

    kinds = Counter((name, kind) for name, kind, _ in jobs)
    assert kinds["jobs.py:work", "success"] == len(done), kinds
    assert set(kinds) <= {
        ("jobs.py:work", "success"),
        ("jobs.py:act", "success"),
        ("jobs.py:act", "failed"),
    }
    assert {n for name, kind, n in jobs if (name, kind) == ("jobs.py:act", "success")} <= set(acted)

    outbox, due_ms = outbox_and_period(tmp_path / "data")
    assert Counter((r["n"], r["step"]) for r in outbox if "n" in r) == Counter(done)
    beats = [row["beat"] for row in outbox if "beat" in row]
    assert len(beats) >= beaten > 0
    slots = Counter((at - due_ms) // 1000 for at in beats)
    assert max(slots.values()) == 1, "a cron job took effect twice for one time"
    print(
        f"{rounds * (kills + 1)} kills: {len(started)} calls, {len(done)} mutations, "
        f"{len(acted)} actions, {len(beats)} beats; {dict(kinds)}"
    )

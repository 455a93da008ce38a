"""A loaded server that is killed: what it acknowledged is there, and time goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from server_process import DEADLINE_S, ask, serving

from pyconvex.storage import Position, Store

CALLERS = 4
CONFIG = "from pyconvex import define_app\napp = define_app()\n"
NOTES = """
from pyconvex import Document, MutationCtx, QueryCtx, mutation, query

class Note(Document, table="notes", indexes={"by_n": ["n"]}):
    n: int

class Total(Document, table="totals"):
    count: int

@mutation
async def add(ctx: MutationCtx, n: int) -> None:
    await ctx.db.insert(Note(n=n))
    total = await ctx.db.query(Total).first()
    if total is None:
        await ctx.db.insert(Total(count=1))
    else:
        await ctx.db.patch(total._id, {"count": total.count + 1})

@query
async def numbers(ctx: QueryCtx) -> list[int]:
    return [note.n for note in await ctx.db.query(Note).with_index("by_n").collect()]

@query
async def count(ctx: QueryCtx) -> int:
    total = await ctx.db.query(Total).first()
    return 0 if total is None else total.count
"""


def load_and_kill(folder: Path, numbers: Iterator[int], kill_after: int) -> set[int]:
    """Numbers that a server acknowledged until it was killed."""
    acknowledged: set[int] = set()
    enough = threading.Event()
    with serving(folder) as (process, url):

        def caller() -> None:
            while True:
                n = next(numbers)
                try:
                    ask(url, "mutation", "notes:add", n=n)
                except ConnectionError:
                    return
                acknowledged.add(n)
                if len(acknowledged) >= kill_after:
                    enough.set()

        threads = [threading.Thread(target=caller) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        assert enough.wait(DEADLINE_S)
        process.kill()
        for thread in threads:
            thread.join(DEADLINE_S)
    return acknowledged


class Counter:
    """Numbers for several threads, each once."""

    def __init__(self) -> None:
        self._next = 0
        self._lock = threading.Lock()

    def __iter__(self) -> Counter:
        return self

    def __next__(self) -> int:
        with self._lock:
            self._next += 1
            return self._next


def newest_timestamp(data: Path) -> int:
    """The head of a folder that nobody serves, after a look at the order of all revisions."""
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
    revisions = reader.revisions(Position(0, 0), limit=10**6, up_to_ts=head.ts)
    assert revisions is not None
    places = [(each.ts, each.seq) for each in revisions]
    assert places == sorted(set(places))
    assert places[-1][0] <= head.ts
    reader.close()
    store.close()
    return head.ts


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_kills_under_load(tmp_path: Path, kills: int) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "convex_config.py").write_text(CONFIG)
    (tmp_path / "convex" / "notes.py").write_text(NOTES)
    random, numbers, acknowledged, newest = Random(kills), Counter(), set[int](), 0
    for _ in range(kills):
        acknowledged |= load_and_kill(tmp_path, numbers, random.randrange(20, 150))
        before, newest = newest, newest_timestamp(tmp_path / "data")
        assert newest > before
    with serving(tmp_path) as (_, url):
        stored = [int(n) for n in ask(url, "query", "notes:numbers")]
        assert len(stored) == len(set(stored))
        assert acknowledged <= set(stored)
        assert ask(url, "query", "notes:count") == len(stored), "half a mutation is there"
        assert len(stored) <= len(acknowledged) + kills * CALLERS
    assert newest_timestamp(tmp_path / "data") >= newest

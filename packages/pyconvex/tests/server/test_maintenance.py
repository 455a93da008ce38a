"""The log while readers never rest: bounded, and never begun anew under somebody's write."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from pyconvex.database import Committed, Committer
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.server.maintenance import Pace, maintain
from pyconvex.storage import DocumentWrite, Position, Proposal, QueueAppend, Store, checkpoint
from pyconvex.storage.folder import log_path
from pyconvex.storage.model import FIRST_DATA_TABLET

MEGABYTE = 2**20
DEADLINE_S = 60.0

#: Holds snapshots of which the next begins before the one before has ended.
READING = """
    import pathlib, random, sys, time
    from pyconvex.storage import Reader
    readers = [Reader(pathlib.Path(sys.argv[1])) for _ in range(2)]
    longest = float(sys.argv[2])
    readers[0].begin()
    print("reading", flush=True)
    while True:
        for mine, other in (readers, readers[::-1]):
            other.begin()
            time.sleep(random.random() * longest / 2)
            mine.end()
"""


@contextmanager
def reading(store, processes=2, longest_s=0.1):
    command = [sys.executable, "-c", textwrap.dedent(READING), store.database, str(longest_s)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        for process in started:
            assert process.stdout.readline() == b"reading\n"
        yield
        assert [process.poll() for process in started] == [None] * processes, "a reader failed"
    finally:
        for process in started:
            process.kill()
            process.communicate()


def proposal(store: Store, number: int, size: int) -> Proposal:
    id = b"%016d" % number
    tablet = FIRST_DATA_TABLET
    write = DocumentWrite(tablet, id, bytes(size), None, (), ((tablet + 1, id),))
    return Proposal(store.visible_ts, b"", (write,), (QueueAppend(1, b"row"),))


@contextmanager
def maintained(store, commits, pace):
    task = asyncio.create_task(maintain(store, commits, pace))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()


async def soak(store: Store, pace: Pace, total_bytes: int, size: int) -> tuple[int, int]:
    """Write while others read; the log's greatest length, and how many times it began anew."""
    committer = Committer(store)
    commits = CommitQueue(committer)
    longest = restarts = written = number = 0
    with maintained(store, commits, pace), reading(store):
        while written < total_bytes:
            before = store.log_pages
            futures = [commits.submit(proposal(store, number + n, size)) for n in range(8)]
            outcomes = await asyncio.gather(*futures)
            assert all(isinstance(outcome, Committed) for outcome in outcomes)
            number += 8
            written += 8 * size
            restarts += store.log_pages < before
            longest = max(longest, log_path(store.database).stat().st_size)
            if number % 40 == 0:
                place = Position(outcomes[-1].ts, 0)
                await commits.between(lambda p=place: store.acknowledge(1, p))
    committer.close()
    assert store.queue_stats(1).rows < 40
    return longest, restarts


def test_the_log_is_bounded_though_readers_never_rest(tmp_path, monkeypatch):
    pages = 2 * MEGABYTE // 4096
    monkeypatch.setattr(checkpoint, "BUSY_PAGES", pages // 2)
    monkeypatch.setattr(checkpoint, "RESTART_PAGES", pages)
    monkeypatch.setattr(checkpoint, "URGENT_PAGES", 3 * pages)
    store = Store.open(tmp_path / "data")
    pace = Pace(look_s=0.01, pause_s=1.0, first_wait_s=0.05)
    longest, restarts = asyncio.run(soak(store, pace, 12 * MEGABYTE, 5_000))
    assert restarts >= 2
    # Never begun anew it would be over 40 MB; a busy machine may be late by some.
    assert longest <= 24 * MEGABYTE
    store.close()


def test_without_maintenance_readers_keep_the_log_growing(tmp_path):
    store = Store.open(tmp_path / "data")
    longest, restarts = asyncio.run(soak(store, Pace(look_s=1e6), 10 * MEGABYTE, 5_000))
    assert restarts == 0
    assert longest > 10 * MEGABYTE
    store.close()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_log_under_full_load_stays_below_256_megabytes(tmp_path):
    store = Store.open(tmp_path / "data")
    longest, restarts = asyncio.run(soak(store, Pace(), 1536 * MEGABYTE, 50_000))
    assert restarts >= 5
    assert longest <= 256 * MEGABYTE
    store.close()


def test_nothing_is_written_while_the_log_begins_anew(tmp_path, monkeypatch):
    """Acknowledgements and sweeps come from others than the committer, and wait like commits."""
    monkeypatch.setattr(checkpoint, "RESTART_PAGES", 20)
    store = Store.open(tmp_path / "data")
    restarting, go_on = threading.Event(), threading.Event()
    restart_log = store.restart_log

    def slow_restart(timeout_s: float) -> bool:
        restarting.set()
        assert go_on.wait(DEADLINE_S)
        return restart_log(timeout_s)

    monkeypatch.setattr(store, "restart_log", slow_restart)

    async def main() -> None:
        committer = Committer(store)
        commits = CommitQueue(committer)
        for number in range(30):
            await commits.submit(proposal(store, number, 3000))
        with maintained(store, commits, Pace(look_s=0.01)):
            assert await asyncio.to_thread(restarting.wait, DEADLINE_S)
            before = store.visible_ts
            acknowledged = commits.between(
                lambda: store.acknowledge(1, Position(store.visible_ts, 0))
            )
            swept = commits.between(store.sweep)
            committed = commits.submit(proposal(store, 99, 10))
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not any(each.done() for each in (acknowledged, swept, committed))
            assert store.visible_ts == before
            go_on.set()
            assert await acknowledged > before
            assert await swept is False
            assert isinstance(await committed, Committed)
        assert not store.log_must_restart
        committer.close()

    asyncio.run(main())
    store.close()


def test_a_snapshot_that_stays_open_is_told_of_and_holds_nobody_up_for_long(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(checkpoint, "RESTART_PAGES", 20)
    monkeypatch.setattr(checkpoint, "URGENT_PAGES", 60)
    store = Store.open(tmp_path / "data")
    reader = store.reader()
    reader.begin()

    async def main() -> None:
        committer = Committer(store)
        commits = CommitQueue(committer)
        pace = Pace(look_s=0.01, pause_s=0.05, urgent_pause_s=0.1, first_wait_s=0.01)
        number = 0
        with maintained(store, commits, pace):
            deadline = time.monotonic() + DEADLINE_S
            while "can't begin anew" not in caplog.text:
                assert time.monotonic() < deadline
                await commits.submit(proposal(store, number, 3000))
                number += 1
            reader.end()
            while store.log_must_restart:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)
        committer.close()

    asyncio.run(main())
    reader.close()
    store.close()


def test_a_failing_disk_does_not_end_maintenance(tmp_path, monkeypatch, caplog):
    from pyconvex.storage import StorageFailure

    store = Store.open(tmp_path / "data")
    looked = []

    def fail(*, idle: bool) -> bool:
        looked.append(idle)
        raise StorageFailure("The disk is full: copying was not possible.")

    monkeypatch.setattr(store, "checkpoint_if_due", fail)

    async def main() -> None:
        committer = Committer(store)
        with maintained(store, CommitQueue(committer), Pace(look_s=0.001)), suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                while len(looked) < 3:
                    await asyncio.sleep(0.001)
        committer.close()

    asyncio.run(main())
    assert len(looked) >= 3
    assert "The disk is full" in caplog.text
    store.close()

import asyncio
import threading

import pytest

from pyconvex.storage import StorageFailure
from pyconvex.storage.durability import Durability


class HeldSync:
    """A sync that waits for the test's word each time, and may be told to fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.started = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.fails = False

    def __call__(self, fd: int) -> None:
        self.calls += 1
        self.started.release()
        assert self.allowed.acquire(timeout=10)
        if self.fails:
            raise OSError(5, "Input/output error")

    def finish(self) -> None:
        self.allowed.release()


@pytest.fixture
def sync():
    return HeldSync()


@pytest.fixture
def durability(sync):
    durability = Durability(0, sync, durable_ts=0)
    yield durability
    for _ in range(10):
        sync.finish()
    durability.close()


def test_one_sync_covers_all_commits_since_the_last(durability, sync):
    durability.publish(1)
    sync.started.acquire(timeout=10)
    for ts in range(2, 50):
        durability.publish(ts)
    sync.finish()
    durability.wait_blocking(1, timeout_s=10)
    assert durability.durable_ts == 1
    sync.finish()
    durability.wait_blocking(49, timeout_s=10)
    assert sync.calls == 2


def test_a_commit_during_a_sync_waits_for_the_next(durability, sync):
    async def scenario() -> None:
        durability.publish(1)
        await asyncio.to_thread(sync.started.acquire, timeout=10)
        durability.publish(2)
        first = asyncio.ensure_future(durability.wait(1))
        second = asyncio.ensure_future(durability.wait(2))
        sync.finish()
        await asyncio.wait_for(first, 10)
        assert not second.done()
        sync.finish()
        await asyncio.wait_for(second, 10)

    asyncio.run(scenario())


def test_a_failed_sync_acknowledges_nothing_ever(durability, sync):
    async def scenario() -> None:
        durability.publish(7)
        waiting = asyncio.ensure_future(durability.wait(7))
        await asyncio.to_thread(sync.started.acquire, timeout=10)
        sync.fails = True
        sync.finish()
        with pytest.raises(StorageFailure, match="making commits durable"):
            await asyncio.wait_for(waiting, 10)
        sync.fails = False
        durability.publish(8)
        sync.finish()
        with pytest.raises(StorageFailure):
            await durability.wait(8)
        with pytest.raises(StorageFailure):
            durability.wait_blocking(7, timeout_s=10)
        assert durability.durable_ts == 0

    asyncio.run(scenario())


def test_waiting_can_time_out_and_be_cancelled(durability, sync):
    durability.publish(1)
    with pytest.raises(TimeoutError, match="not durable within"):
        durability.wait_blocking(1, timeout_s=0.01)

    async def scenario() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(durability.wait(1), 0.01)
        sync.finish()
        await asyncio.wait_for(durability.wait(1), 10)

    asyncio.run(scenario())


def test_a_waiter_whose_loop_is_gone_harms_nobody(durability, sync):
    async def abandon() -> None:
        task = asyncio.ensure_future(durability.wait(1))
        await asyncio.sleep(0)
        assert not task.done()

    durability.publish(1)
    asyncio.run(abandon())
    sync.finish()
    durability.wait_blocking(1, timeout_s=10)


def test_closing_syncs_what_is_visible(sync):
    durability = Durability(0, sync, durable_ts=0)
    durability.publish(3)
    sync.finish()
    durability.close()
    assert durability.durable_ts == 3


def test_the_store_refuses_commits_after_a_failed_sync(open_store, insert, contents):
    failing = threading.Event()

    def sync(fd: int) -> None:
        if failing.is_set():
            raise OSError(5, "Input/output error")

    store = open_store(sync=sync)
    [kept] = store.append([insert("a")])
    store.wait_durable_blocking(kept.ts, timeout_s=10)
    failing.set()
    [lost] = store.append([insert("b")])
    with pytest.raises(StorageFailure):
        store.wait_durable_blocking(lost.ts, timeout_s=10)
    failing.clear()
    with pytest.raises(StorageFailure):
        store.append([insert("c")])
    with pytest.raises(StorageFailure):
        store.acknowledge(1, insert("x", queue=b"").appends and _position(lost.ts))
    assert store.durable_ts == kept.ts
    store.close()
    assert "a" in contents(open_store())


def _position(ts: int):
    from pyconvex.storage.model import Position

    return Position(ts, 0)

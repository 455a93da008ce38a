"""When commits survive a power cut: one thread that syncs the log for many commits at once.

Owns `visible_ts` and `durable_ts` and everybody who waits between the two. Never touches the
database, only the log file's descriptor. One invariant: `durable_ts` moves only after a sync that
began when that commit was already visible; after one failed sync it never moves again.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Callable

from pyconvex.storage.errors import StorageFailure, failure_of

SyncCall = Callable[[int], None]
"""Makes all that was written to a file descriptor durable, or raises."""

sync_data: SyncCall = getattr(os, "fdatasync", os.fsync)


class Durability:
    """Says when a timestamp is durable.

    `publish(ts)` is called at each commit, by one thread. `await wait(ts)` and `wait_blocking(ts)`
    return once `ts` is durable and raise `StorageFailure` when it never will be.
    """

    def __init__(self, fd: int, sync: SyncCall, durable_ts: int) -> None:
        self._fd = fd
        self._sync = sync
        self._changed = threading.Condition()
        self._visible_ts = durable_ts
        self._durable_ts = durable_ts
        self._failure: StorageFailure | None = None
        self._closing = False
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name="durability", daemon=True)
        self._thread.start()

    @property
    def visible_ts(self) -> int:
        return self._visible_ts

    @property
    def durable_ts(self) -> int:
        return self._durable_ts

    @property
    def failure(self) -> StorageFailure | None:
        """Set once, by the first failed sync or by `fail`."""
        return self._failure

    def publish(self, ts: int) -> None:
        """Say that everything up to `ts` is visible, so that the next sync covers it."""
        with self._changed:
            self._visible_ts = ts
            self._changed.notify_all()

    async def wait(self, ts: int) -> None:
        """Return when `ts` is durable."""
        if ts <= self._durable_ts:
            return
        with self._changed:
            if self._settled(ts):
                return
            future = asyncio.get_running_loop().create_future()
            self._waiters.append((ts, future))
        await future

    def wait_blocking(self, ts: int, timeout_s: float | None = None) -> None:
        """Return when `ts` is durable; `TimeoutError` when that takes too long."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._settled(ts), timeout_s):
                raise TimeoutError(f"commit {ts} was not durable within {timeout_s} s")

    def fail(self, failure: StorageFailure) -> None:
        """Stop acknowledging for good: what is on disk can no longer be told from what is not."""
        with self._changed:
            self._failure = self._failure or failure
            self._release()
            self._changed.notify_all()

    def close(self) -> None:
        """Sync what is visible, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _settled(self, ts: int) -> bool:
        if ts <= self._durable_ts:
            return True
        if self._failure is not None:
            raise self._failure
        return False

    def _run(self) -> None:
        while (target := self._next_target()) is not None:
            try:
                self._sync(self._fd)
            except Exception as error:
                # A kernel may drop dirty pages after a failed sync and report the next as good.
                self.fail(failure_of(error, "making commits durable"))
                return
            with self._changed:
                self._durable_ts = max(self._durable_ts, target)
                self._release()
                self._changed.notify_all()

    def _next_target(self) -> int | None:
        with self._changed:
            while True:
                if self._failure is not None:
                    return None
                if self._visible_ts > self._durable_ts:
                    return self._visible_ts
                if self._closing:
                    return None
                self._changed.wait()

    def _release(self) -> None:
        """Wake, with one call per event loop, the waiters whose answer is known."""
        ready: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
        waiting = []
        for ts, future in self._waiters:
            if ts <= self._durable_ts or self._failure is not None:
                ready[future.get_loop()].append(future)
            else:
                waiting.append((ts, future))
        self._waiters = waiting
        failures = self._failure
        for loop, futures in ready.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, futures, failures)


def _resolve(futures: list[asyncio.Future[None]], failure: StorageFailure | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)

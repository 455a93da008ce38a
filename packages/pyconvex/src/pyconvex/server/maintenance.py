"""Housekeeping of the store while the server runs.

Owns when the log is folded back and when old rows are forgotten. Never runs longer than a moment at
a time. One invariant: the log stays bounded also while readers are busy, and nothing is written
while it begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pyconvex.database import Transaction, jobs
from pyconvex.runlog.log import RunLog
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.storage import StorageFailure, Store
from pyconvex.storage.layout import PAGE_BYTES

_LOG = logging.getLogger("pyconvex.storage")
#: Between two looks at the run log's size and age, in seconds.
RUN_LOG_SWEEP_S = 20.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds."""

    #: In between, a fast disk takes 40 MB of log.
    look_s: float = 0.25
    #: The same while most of a long log is copied.
    watch_s: float = 0.05
    #: Looks between two sweeps of old rows.
    sweep_every: int = 240
    #: How long commits pause for snapshots that were open before; a query ends sooner.
    pause_s: float = 0.25
    #: The same when the log must not grow any more: as long as a query may take on the clock.
    urgent_pause_s: float = 15.0
    #: Between two tries when a snapshot stays open, doubled each time; a backup takes minutes.
    first_wait_s: float = 0.5
    last_wait_s: float = 16.0


#: Takes one bite of what is to be forgotten; True when there may be more.
Sweep = Callable[[], Awaitable[bool]]

#: Scheduled functions that one transaction forgets: a few milliseconds of the server's time.
FORGOTTEN_AT_ONCE = 100


async def maintain(
    store: Store, commits: CommitQueue, pace: Pace | None = None, *, sweeps: Sequence[Sweep] = ()
) -> None:
    """Look after the store until cancelled."""
    await _Maintenance(store, commits, pace or Pace(), sweeps).run()


async def forget_jobs(system: SystemTransactions) -> bool:
    """Forget some scheduled functions that ended a week ago; True when there may be more."""

    def forget(tx: Transaction) -> int:
        return jobs.forget(tx, tx.now_ms, FORGOTTEN_AT_ONCE)

    if not system.read(lambda tx: jobs.has_old(tx, tx.now_ms)):
        return False
    return await system.write(forget) == FORGOTTEN_AT_ONCE


async def sweep_run_log(run_log: RunLog, every_s: float = RUN_LOG_SWEEP_S) -> None:
    """Keep the run log within its bounds until cancelled."""
    while True:
        await run_log.sweep()
        await asyncio.sleep(every_s)


class _Maintenance:
    def __init__(
        self, store: Store, commits: CommitQueue, pace: Pace, sweeps: Sequence[Sweep]
    ) -> None:
        self._store = store
        self._commits = commits
        self._pace = pace
        self._sweeps = sweeps
        self._wait_s = pace.first_wait_s
        self._next_try_s = 0.0
        #: Set by a commit that makes the log urgent: the next look can't wait then.
        self._urgent = asyncio.Event()
        store.when_log_is_urgent(self._urgent.set)

    async def run(self) -> None:
        last_ts, looks = self._store.visible_ts, 0
        while True:
            await self._rest(self._pace.look_s)
            looks += 1
            idle, last_ts = self._store.visible_ts == last_ts, self._store.visible_ts
            try:
                await self._look(idle=idle)
                if looks % self._pace.sweep_every == 0:
                    await self._sweep()
            except (StorageFailure, HostError) as failure:
                # Commits fail with it too and tell their callers; what is due stays due.
                _LOG.error("%s", failure)

    async def _look(self, *, idle: bool) -> None:
        loop = asyncio.get_running_loop()
        if not self._store.log_must_restart:
            self._wait_s = self._pace.first_wait_s
            self._store.checkpoint_if_due(idle=idle)
        elif self._store.log_is_urgent or loop.time() >= self._next_try_s:
            await self._restart_log()

    async def _restart_log(self) -> None:
        """Copy most of the log while commits go on, and the rest while they pause."""
        loop, pace = asyncio.get_running_loop(), self._pace
        copying = loop.run_in_executor(None, self._store.copy_log)
        while not copying.done() and not self._store.log_is_urgent:
            await self._rest(pace.watch_s)
        pause_s = pace.urgent_pause_s if self._store.log_is_urgent else pace.pause_s
        async with self._commits.paused():
            await copying
            done = await loop.run_in_executor(None, self._store.restart_log, pause_s)
        if done:
            return
        self._next_try_s = loop.time() + self._wait_s
        self._wait_s = min(2 * self._wait_s, pace.last_wait_s)
        if self._store.log_is_urgent:
            _LOG.warning(
                "The log has %d MB and can't begin anew: a snapshot has been open for very long. "
                "Commits go slowly until the program that reads %s ends it.",
                self._store.log_pages * PAGE_BYTES // 2**20,
                self._store.database,
            )

    async def _rest(self, seconds: float) -> None:
        """Return after so long, or when the log has become urgent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._urgent.wait()
        self._urgent.clear()

    async def _sweep(self) -> None:
        while await self._commits.between(self._store.sweep):
            pass  # commits have their turn between two bites
        for sweep in self._sweeps:
            while await sweep():
                pass

"""The scheduler: starts scheduled functions and cron jobs when they are due.

Owns the loop around the two agendas: it looks when something that it read has changed, or when the
next entry is due, and rests otherwise. Never runs app code itself. One invariant: what is due
starts as soon as there is a place for it, however often the server was restarted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, NamedTuple, Protocol

from pyconvex.database import Subscription, Subscriptions, Transaction
from pyconvex.runtime.calls import Failure, FunctionCall, Host
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.scheduling.agenda import Agenda, E
from pyconvex.runtime.scheduling.cron_runner import CronRunner
from pyconvex.runtime.scheduling.job_runner import JobRunner, Means

#: Scheduled functions that run at a time, and cron jobs (Convex: eight of each when self-hosted).
PARALLEL = 8
#: The longest rest while something waits, in seconds: the wall clock may have been set, or the
#: machine may have slept.
LONGEST_REST_S = 60.0
#: The pause after a job that met a fault of the server's own, such as a full disk, in seconds.
FAULT_PAUSE_S = 1.0

_log = logging.getLogger(__name__)


class _Runner(Protocol[E]):
    """Knows one queue and what to do with an entry of it."""

    def rows(self, tx: Transaction, limit: int) -> list[E]:
        """The first entries of the queue."""

    async def run(self, entry: E) -> None:
        """Do what an entry says."""

    async def recover(self) -> None:
        """Put in order what a crash has left."""


class _Line(Generic[E]):
    """One queue with its agenda."""

    def __init__(self, runner: _Runner[E], parallel: int) -> None:
        self.runner = runner
        self.agenda: Agenda[E] = Agenda(parallel)

    def plan(
        self, tx: Transaction, now_ms: float
    ) -> tuple[list[Coroutine[Any, Any, None]], float | None]:
        """What to start, and when to look again."""
        plan = self.agenda.plan(self.runner.rows(tx, self.agenda.rows_needed), now_ms)
        return [self._carry_out(entry) for entry in plan.start], plan.look_at_ms

    async def _carry_out(self, entry: E) -> None:
        try:
            await self.runner.run(entry)
        except Exception:
            _log.exception("A scheduled function could not be run; it is tried again.")
            await asyncio.sleep(FAULT_PAUSE_S)
        finally:
            self.agenda.ended(entry)


class Look(NamedTuple):
    """What a look at the queues has started, and when the next one is due."""

    started: int
    next_ms: float | None


class Lateness(NamedTuple):
    """How the queue of scheduled functions fares."""

    #: How long the next of them is overdue; 0 when none is.
    lag_s: float
    running: int


def log_failure(call: FunctionCall, failure: Failure) -> None:
    """Tell the operator of a scheduled function that failed."""
    _log.error("%s %s failed: %s", call.kind, call.path, failure.message)


class Scheduler:
    """Runs what is due of one deployment.

    `start` it, tell it when an app is in force, `stop` it. Tests call `look` and `wait` themselves
    instead, with a clock of their own.
    """

    def __init__(
        self,
        host: Host,
        system: SystemTransactions,
        subscriptions: Subscriptions,
        *,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
        source: random.Random | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_failure: Callable[[FunctionCall, Failure], None] = log_failure,
        parallel: int = PARALLEL,
    ) -> None:
        self._system = system
        self._subscriptions = subscriptions
        self._now_ms = now_ms
        source = source or random.SystemRandom()
        means = Means(host, system, now_ms, source, pause, on_failure)
        self._jobs = _Line(JobRunner(means), parallel)
        self._crons = _Line(CronRunner(means), parallel)
        self._in_force = asyncio.Event()
        self._changed = asyncio.Event()
        self._watching: Subscription | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run what is due, once an app is in force."""
        self._loop = asyncio.create_task(self._run())

    def put_in_force(self) -> None:
        """An app can run: tell it after the first deploy; may be repeated."""
        self._in_force.set()

    async def stop(self) -> None:
        """Leave everything as it is: mutations that did not end will run, actions will not."""
        tasks = [*self._running, *([self._loop] if self._loop is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch(None)

    def look(self) -> Look:
        """Start what is due."""
        self._changed.clear()
        self._watch(None)

        def plan(tx: Transaction) -> tuple[list[Coroutine[Any, Any, None]], list[float]]:
            now_ms = self._now_ms()
            crons, crons_ms = self._crons.plan(tx, now_ms)
            jobs, jobs_ms = self._jobs.plan(tx, now_ms)
            self._watch(tx)
            return [*crons, *jobs], [ms for ms in (jobs_ms, crons_ms) if ms is not None]

        begun, next_looks = self._system.read(plan)
        for work in begun:
            task = asyncio.create_task(work)
            self._running.add(task)
            task.add_done_callback(self._ended)
        return Look(len(begun), min(next_looks, default=None))

    def lateness(self) -> Lateness:
        """How late scheduled functions are, and how many run."""
        line = self._jobs

        def look(tx: Transaction) -> float:
            rows = line.runner.rows(tx, line.agenda.rows_needed)
            return line.agenda.lag_ms(rows, self._now_ms())

        return Lateness(self._system.read(look) / 1000, line.agenda.running)

    async def wait(self) -> bool:
        """Return when something that runs has ended; False at once when nothing runs."""
        if not self._running:
            return False
        await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _run(self) -> None:
        await self._in_force.wait()
        recovered = False
        while True:
            try:
                if not recovered:
                    await self._jobs.runner.recover()
                    await self._crons.runner.recover()
                    recovered = True
                next_ms = self.look().next_ms
            except Exception:
                _log.exception("What is due can't be read; it is tried again.")
                await asyncio.sleep(FAULT_PAUSE_S)
            else:
                await self._rest(next_ms)

    async def _rest(self, until_ms: float | None) -> None:
        """Return when something has changed, or at that time."""
        rest_s = None
        if until_ms is not None:
            rest_s = min(max((until_ms - self._now_ms()) / 1000, 0.0), LONGEST_REST_S)
        try:
            async with asyncio.timeout(rest_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _watch(self, tx: Transaction | None) -> None:
        """Look again when something changes that `tx` has read."""
        if self._watching is not None:
            self._watching.close()
            self._watching = None
        if tx is not None:
            self._watching = self._subscriptions.add(
                tx.read_set(), tx.head.ts, lambda _: self._changed.set()
            )
            if self._watching.invalidated_at is not None:
                self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()

"""One deployment for one test.

Owns the life of its engine and what a test can do beside calling functions: the clock, variables,
queues, conflicts. Never shares anything with another deployment. One invariant: nothing of it is
left when its block ends: no task, no file, no imported module of the app.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Self

from pyconvex.database import Transaction, jobs
from pyconvex.identity import ANONYMOUS
from pyconvex.runlog import RunRecord
from pyconvex.runlog.report import decode_value
from pyconvex.runtime.calls import EnvChange, Outcome
from pyconvex.runtime.scheduling import cron_jobs
from pyconvex.storage.reader import NO_LIMIT
from pyconvex.testing.apps import App
from pyconvex.testing.caller import Caller
from pyconvex.testing.clock import VirtualClock
from pyconvex.testing.engine import Engine
from pyconvex.testing.subscription import Subscription
from pyconvex.testing.targets import Target, find
from pyconvex.values import Value, codec

#: How long `drain` and `advance` wait for something to end, in real seconds: a test that waits for
#: itself must not hang.
DRAIN_PATIENCE_S = 10.0
#: Scheduled functions that one `drain` and one `advance` run: more is a mistake, as a rule.
DRAIN_RUNS = 1_000
ADVANCE_RUNS = 10_000


class ConvexTest(Caller):
    """A running deployment; made by `convex_test`, and itself an anonymous caller of the app."""

    def __init__(self, app: App, env: Mapping[str, str], now: datetime | None, seed: int) -> None:
        super().__init__(self, ANONYMOUS, "")
        now_ms = time.time() * 1000 if now is None else now.timestamp() * 1000
        self._engine = Engine(app, env, VirtualClock(now_ms), seed)
        self._running = False
        self._calls: dict[asyncio.Future[None], str] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        _require_asyncio()
        await self._engine.start()
        self._stack.push_async_callback(self._engine.stop)
        self._running = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running = False
        await self._stack.aclose()

    @property
    def now_ms(self) -> float:
        """The virtual clock, in milliseconds since 1970."""
        return self._engine.clock.now_ms

    @property
    def log_lines(self) -> list[str]:
        """What functions have logged and printed, as clients get it; `clear()` it as you like.

        Lines come when their function has ended; those of an attempt that met a conflict don't.
        """
        return self._engine.log_lines

    @property
    def run_records(self) -> list[RunRecord]:
        """The record of each execution: how it ended, its lines and its metadata; may be cleared.

        Attempts that met a conflict are there too, with `occ`; so are callers that were served from
        a result which was there already, with `cached`.
        """
        return self._engine.records

    def reported(self, kind: str) -> list[Any]:
        """What runs gave to `ctx.report` under this word, in order, whether they failed or not."""
        items = (item for record in self.run_records for item in record.report.items)
        return [decode_value(item.value) for item in items if item.kind == kind]

    async def advance(
        self, seconds: float, *, raise_failures: bool = True, max_runs: int = ADVANCE_RUNS
    ) -> None:
        """Move the virtual clock, and do what becomes due on the way, each thing at its time.

        Scheduled functions and cron jobs run, those included that they schedule themselves; jobs
        that ended a week ago, old replays and revisions go. What raises for good is raised here,
        unless `raise_failures` is False. Functions that look at the clock see the new time.

        Raises `TimeoutError` when something doesn't end, and `RuntimeError` when more than
        `max_runs` functions would run.
        """
        async with self._patience():
            await self.engine.advance(seconds, max_runs, DRAIN_PATIENCE_S)
        self._raise_failures(raise_failures)

    async def drain(self, *, raise_failures: bool = True, max_runs: int = DRAIN_RUNS) -> None:
        """Return once nothing is under way or due: calls in other tasks, what they left behind,
        and scheduled functions whose time has come, with those that they schedule for at once.

        A scheduled function that raises for good is raised here, unless `raise_failures` is False.
        Raises `TimeoutError` when something doesn't end, and says what, and `RuntimeError` when
        more than `max_runs` functions would run.
        """
        runs, before = 0, -1
        async with self._patience():
            await asyncio.sleep(0)  # tasks that were just made begin
            while runs > before or self._calls:
                async with asyncio.timeout(DRAIN_PATIENCE_S):
                    while self._calls:
                        await asyncio.wait(self._calls)
                    await self.engine.drain()
                before, runs = runs, await self.engine.settle(max_runs, DRAIN_PATIENCE_S, runs)
        self._raise_failures(raise_failures)

    def scheduled(self, *, component: str = "") -> list[dict[str, Any]]:
        """The scheduled functions of the app, or of a component, as functions see them in
        `_scheduled_functions`, in the order in which they were scheduled.
        """

        def read(tx: Transaction) -> list[dict[str, Any]]:
            tables = tx.namespace(component).system
            return [jobs.visible(tables, row) for row in tables.scan(jobs.FUNCTIONS)]

        return self.engine.system.read(read)

    def cron_runs(self, name: str, *, component: str = "") -> list[dict[str, Any]]:
        """What the last five runs of a cron job came to, the newest first.

        Raises `ValueError` when there is no such job.
        """

        def read(tx: Transaction) -> list[dict[str, Any]]:
            for cron in cron_jobs.everything(tx):
                if (cron.component, cron.name) == (component, name):
                    return cron_jobs.runs(tx, cron)
            raise ValueError(f"Component {component!r} has no cron job {name!r}.")

        return self.engine.system.read(read)

    async def set_env(self, **variables: str | None) -> None:
        """Set the app's variables, or with None remove them, as `pyconvex env set` does."""
        changes = [EnvChange(name, value) for name, value in variables.items()]
        await self.engine.environment.apply(changes)

    def queue(self, name: str, *, component: str = "") -> list[Value]:
        """What waits in a queue, in order of commit: what its lane would send.

        Raises `ValueError` when the component has no such queue.
        """
        engine = self.engine
        number = engine.system.read(lambda tx: tx.namespace(component).queue_number(name))
        if number is None:
            raise ValueError(f"Component {component!r} has declared no queue {name!r}.")
        reader = engine.store.reader()
        head = reader.begin()
        try:
            rows = reader.queue_rows(number, limit=NO_LIMIT, up_to_ts=head.ts)
        finally:
            reader.close()
        return [codec.decode(row.body) for row in rows]

    def conflict_next(self, mutation: Target, *, times: int = 1) -> None:
        """Let the next `times` attempts to commit this mutation conflict, as if somebody had
        changed what it read.

        Counts attempts of the mutation itself that have something to commit, not those of a
        mutation that calls it. Over 19 in a row and its caller gets `HostError`.
        """
        engine = self.engine
        component, path, function = find(engine.image, "", mutation)
        if function is None or function.kind != "mutation":
            raise ValueError(f"{path} is no mutation of the app.")
        engine.conflicts[component, path] += times

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """Say in a `TimeoutError` what did not end."""
        try:
            yield
        except TimeoutError:
            known = sorted([*self._calls.values(), *self.engine.jobs_under_way])
            raise TimeoutError(
                f"Still under way after {DRAIN_PATIENCE_S:g} s: "
                f"{', '.join(known) or 'runs whose callers have left'}."
            ) from None

    def _raise_failures(self, wanted: bool) -> None:
        """Raise the first failure of a scheduled function since the last time, and forget all."""
        failures = list(self.engine.job_failures)
        self.engine.job_failures.clear()
        if not failures or not wanted:
            return
        call, failure = failures[0]
        more = f", and {len(failures) - 1} more failed" if len(failures) > 1 else ""
        try:
            self.engine.raised.reraise(failure)
        except Exception as error:
            error.add_note(f"This is the scheduled {call.kind} {call.path}{more}.")
            raise

    # What callers of this deployment share (`pyconvex.testing.caller.Deployed`).

    @property
    def engine(self) -> Engine:
        """The engine itself, for what this kit has no word for; its parts may change."""
        if not self._running:
            raise RuntimeError(
                "The deployment is not running: use `async with convex_test(…) as t`."
            )
        return self._engine

    async def under_way(self, path: str, work: Awaitable[Outcome]) -> Outcome:
        """Await a call so that `drain` knows of it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls[done] = path
        try:
            return await work
        finally:
            del self._calls[done]
            done.set_result(None)

    def keep(self, subscription: Subscription[Any]) -> None:
        """End this subscription with the deployment."""
        self._stack.push_async_callback(subscription.aclose)


def _require_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "convex_test needs asyncio: with anyio's pytest plugin, let the fixture anyio_backend "
            'return "asyncio".'
        ) from None

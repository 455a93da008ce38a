"""The engine of one test deployment: what a server is made of, without ports and processes.

Owns construction order, the folder in memory, and what the kit adds to the host: its clock and
seed, remembered exceptions, injected conflicts, log lines. Never fakes a part of the engine. One
invariant: two engines share nothing, also when they run the same app at the same time.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from pyconvex.database import Committer
from pyconvex.functions import RegisteredFunction
from pyconvex.runlog import RunRecord
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.calls import EnvChange, Failure, FunctionCall, Outcome
from pyconvex.runtime.calls import Replay as ReplayKey
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.in_process import InProcessPool
from pyconvex.runtime.processes import messages
from pyconvex.runtime.scheduling.scheduler import Scheduler
from pyconvex.runtime.settings import addresses
from pyconvex.runtime.settings.environment import DeploymentEnvironment
from pyconvex.server.maintenance import forget_jobs
from pyconvex.storage import Proposal, Store
from pyconvex.testing.apps import App, app_source
from pyconvex.testing.clock import VirtualClock
from pyconvex.testing.failures import Raised
from pyconvex.testing.fetch import TEST_CLOUD_URL, TEST_SITE_URL

#: A file system in memory, used where it is there and has room for a test's data.
_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder with a random name is made in it
_ROOM_BYTES = 256 * 1024 * 1024

Functions = dict[str, RegisteredFunction[..., object]]


class Engine:
    """Everything of one deployment, from `start` to `stop`."""

    def __init__(self, app: App, env: Mapping[str, str], clock: VirtualClock, seed: int) -> None:
        self.clock = clock
        self.raised = Raised()
        self.log_lines: list[str] = []
        self.records = Records()
        #: How many of a mutation's next attempts shall conflict, by component and path.
        self.conflicts: Counter[tuple[str, str]] = Counter()
        #: Scheduled functions that failed for good, in the order of their failures.
        self.job_failures: list[tuple[FunctionCall, Failure]] = []
        #: Scheduled functions and cron jobs that run, by path.
        self.jobs_under_way: Counter[str] = Counter()
        self._app = app
        self._env = dict(env)
        self._random = random.Random(seed)  # noqa: S311  # reproducible on purpose
        self._inline: dict[str, Functions] = {}
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Build everything and deploy the app; raises what a deploy raises, and keeps nothing."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything; the data is gone."""
        await self._stack.aclose()

    async def drain(self) -> None:
        """Return once no run is waiting or under way."""
        await self.host.drain()
        await self.pool.drain()
        await self.host.drain()

    async def settle(self, max_runs: int, patience_s: float, runs: int = 0) -> int:
        """Run the scheduled functions and cron jobs that are due, and those that become so
        meanwhile; how many there were, `runs` before included. Raises `RuntimeError` beyond
        `max_runs`, and `TimeoutError` when none of those that run ends within `patience_s` real
        seconds.
        """
        paths = Counter[str]()
        while True:
            runs += self.scheduler.look().started
            if runs > max_runs:
                raise RuntimeError(
                    f"More than {max_runs} scheduled functions were due: does one schedule itself "
                    f"without a delay? Most often ran {_most_common(paths)}. Give max_runs to "
                    "allow more."
                )
            await asyncio.sleep(0)
            paths.update(self.jobs_under_way.keys())
            async with asyncio.timeout(patience_s):
                if not await self.scheduler.wait():
                    return runs

    async def advance(self, seconds: float, max_runs: int, patience_s: float) -> None:
        """Move the clock from one thing that is due to the next, and let each happen."""
        if seconds < 0:
            raise ValueError(f"the clock can't go back: advance({seconds})")
        target_ms = self.clock.now_ms + seconds * 1000
        runs = 0
        while True:
            runs = await self.settle(max_runs, patience_s, runs)
            next_ms = self.scheduler.look().next_ms
            if next_ms is None or next_ms > target_ms:
                break
            self.clock.move_to(next_ms)
        self.clock.move_to(target_ms)
        await self.settle(max_runs, patience_s, runs)
        while self.store.sweep():  # noqa: ASYNC110  # others run between two bites
            await asyncio.sleep(0)
        while await forget_jobs(self.system):
            pass

    def inline(self, component: str) -> Functions:
        """Functions of the test's own, by path, that run as if the component had them."""
        return self._inline.setdefault(component, {})

    async def _start(self) -> None:
        source = app_source(self._app)
        folder = _make_folder()
        self._stack.callback(shutil.rmtree, folder)
        # What is gone after the test need not survive a power cut.
        self.store = Store.open(folder, clock_ns=self.clock.now_ns, sync=lambda fd: None)
        self._stack.callback(self.store.close)
        committer = Committer(self.store)
        self._stack.callback(committer.close)
        commits = CommitQueue(committer)
        self.system = SystemTransactions(
            self.store, commits, now_ms=self.clock.start_of_run_ms, source=self._random
        )
        self._stack.callback(self.system.close)
        self.environment = DeploymentEnvironment(self.system, lambda: None)
        self.host = _RecordingHost(
            self.store,
            committer,
            commits,
            self.system,
            log_lines=self.log_lines,
            keeper=self.records,
            under_way=self.jobs_under_way,
            now_ms=self.clock.start_of_run_ms,
            new_seed=lambda: self._random.getrandbits(64),
            steady_s=lambda: self.clock.now_ms / 1000,
        )
        self._stack.callback(self.host.close)
        self._stack.push_async_callback(self.host.drain)
        self.pool = InProcessPool(
            load_image=lambda *app: self._with_inline(source.load_image(*app)),
            observe=self._observe,
        )
        deployer = Deployer(
            self.host,
            self.system,
            database=self.store.database,
            new_pool=lambda on_lost: self.pool,
            on_deployed=lambda spec: None,
        )
        self._stack.push_async_callback(deployer.stop)
        self.scheduler = Scheduler(
            self.host,
            self.system,
            committer.subscriptions,
            now_ms=lambda: self.clock.now_ms,
            source=self._random,
            pause=lambda seconds: asyncio.sleep(0),
            on_failure=lambda call, failure: self.job_failures.append((call, failure)),
        )
        self._stack.push_async_callback(self.scheduler.stop)
        where = {addresses.CLOUD_URL: TEST_CLOUD_URL, addresses.SITE_URL: TEST_SITE_URL}
        await self.system.write(lambda tx: addresses.record(tx, where))
        if self._env:
            await self.environment.apply([EnvChange(*item) for item in self._env.items()])
        await deployer.deploy(source.sources, source.folder)

    def _with_inline(self, image: AppImage) -> AppImage:
        components = {
            path: replace(
                component, functions=ChainMap(self.inline(path), dict(component.functions))
            )
            for path, component in image.components.items()
        }
        self.image = replace(image, components=components)
        return self.image

    def _observe(
        self, start: messages.Start, finished: messages.Finished, raised: BaseException | None
    ) -> messages.Finished:
        if raised is not None:
            self.raised.remember(finished.error, raised)
        if finished.value is not None and self.conflicts[start.component, start.path]:
            return self._in_conflict(start, finished)
        return finished

    def _in_conflict(self, start: messages.Start, finished: messages.Finished) -> messages.Finished:
        """The same attempt at a snapshot so old that the committer must refuse to judge it."""
        proposal = Proposal.decode(finished.proposal)
        if proposal.changes_nothing():
            return finished  # such a mutation never conflicts
        self.conflicts[start.component, start.path] -= 1
        outdated = msgspec.structs.replace(proposal, snapshot_ts=0)
        return msgspec.structs.replace(finished, proposal=outdated.encode())


class Records(list[RunRecord]):
    """The records of all executions, as a run log gets them."""

    def keep(self, record: RunRecord) -> None:
        self.append(record)


class _RecordingHost(Host):
    """The host, with the log lines of all outcomes in the order in which they came."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        commits: CommitQueue,
        system: SystemTransactions,
        *,
        log_lines: list[str],
        keeper: Records,
        under_way: Counter[str],
        now_ms: Callable[[], float],
        new_seed: Callable[[], int],
        steady_s: Callable[[], float],
    ) -> None:
        super().__init__(
            store,
            committer,
            commits,
            system,
            now_ms=now_ms,
            new_seed=new_seed,
            steady_s=steady_s,
            keeper=keeper,
        )
        self._log_lines = log_lines
        self._under_way_jobs = under_way

    async def run_query(self, call: FunctionCall) -> Outcome:
        return self._recorded(await super().run_query(call))

    async def run_mutation(
        self,
        call: FunctionCall,
        replay: ReplayKey | None = None,
        on_visible: Callable[[int], None] | None = None,
    ) -> Outcome:
        with self._counted(call):
            return self._recorded(await super().run_mutation(call, replay, on_visible))

    async def run_action(self, call: FunctionCall) -> Outcome:
        with self._counted(call):
            return self._recorded(await super().run_action(call))

    @contextmanager
    def _counted(self, call: FunctionCall) -> Iterator[None]:
        """Note which scheduled functions are under way."""
        if call.job is None or not call.job.itself:
            yield
            return
        self._under_way_jobs[call.path] += 1
        try:
            yield
        finally:
            self._under_way_jobs[call.path] -= 1
            if not self._under_way_jobs[call.path]:
                del self._under_way_jobs[call.path]

    def _recorded(self, outcome: Outcome) -> Outcome:
        self._log_lines.extend(outcome.log_lines)
        return outcome


def _most_common(paths: Counter[str]) -> str:
    return ", ".join(path for path, _ in paths.most_common(3)) or "nothing"


def _make_folder() -> Path:
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) and _has_room(_MEMORY) else None
    return Path(tempfile.mkdtemp(prefix="pyconvex-test-", dir=parent))


def _has_room(folder: Path) -> bool:
    return shutil.disk_usage(folder).free >= _ROOM_BYTES

"""Apps from source text: analysed in this process, or run by a whole host with real isolates."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any

from pyconvex import identity
from pyconvex.database import Catalog, Committed, Committer, ReadSet
from pyconvex.identity import ANONYMOUS, Identity
from pyconvex.runlog import RunRecord
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.calls import FunctionCall
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer, _record
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.run import PureRun
from pyconvex.runtime.scheduling.scheduler import Scheduler
from pyconvex.runtime.settings.environment import DeploymentEnvironment
from pyconvex.storage import Proposal, Store
from pyconvex.values import codec

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 60.0


def sources(**modules: str) -> dict[str, str]:
    """Module texts by path; `__` in a name stands for `/`."""
    return {f"{name.replace('__', '/')}.py": dedent(text) for name, text in modules.items()}


@dataclass
class Ended:
    """How one run ended, decoded."""

    finished: messages.Finished
    proposal: Proposal

    @property
    def value(self) -> Any:
        assert self.finished.value is not None, self.finished.error
        return codec.decode(self.finished.value)

    @property
    def error(self) -> str:
        assert self.finished.value is None, self.finished.value
        return self.finished.error

    @property
    def reads(self) -> ReadSet:
        return ReadSet.decode(self.proposal.reads)


@dataclass
class Bench:
    """Runs functions of an analysed app over a store, one at a time, committing mutations."""

    store: Store
    image: AppImage | None = None
    committer: Committer = field(init=False)

    def __post_init__(self) -> None:
        self.committer = Committer(self.store)
        self._reader = self.store.reader()
        self._catalog = Catalog()
        self._ids = itertools.count(1)

    def deploy(self, image: AppImage, variables: Mapping[str, str] | None = None) -> None:
        self.image = image

        def work(tx: Any) -> None:
            for name, value in (variables or {}).items():
                tx.namespace("").set_env(name, value)
            _record(tx, image.spec, {}, Path("/app"))

        self.change(work)

    def change(self, work: Callable[[Any], None]) -> int:
        """Commit what `work` writes, as the server itself would."""
        commits = CommitQueue(self.committer)
        system = SystemTransactions(self.store, commits)
        try:
            asyncio.run(system.write(work))  # type: ignore[arg-type]
        finally:
            system.close()
        return self.store.visible_ts

    def run(
        self,
        path: str,
        args: Mapping[str, Any] | None = None,
        *,
        kind: str = "query",
        who: Identity = ANONYMOUS,
        commit: bool = True,
        raw: bytes | None = None,
        **options: Any,
    ) -> Ended:
        assert self.image is not None
        start = messages.Start(
            run_id=next(self._ids),
            kind=kind,
            component=options.pop("component", ""),
            path=path,
            args=codec.encode(dict(args or {})) if raw is None else raw,
            identity=identity.encode(who),
            request_id="r",
            now_ms=1_700_000_000_000.0,
            seed=options.pop("seed", b"seed"),
            public_only=options.pop("public_only", True),
            announce=False,
            cursor_secret=b"s" * 32,
            journal=None,
            **options,
        )
        self._reader.begin()
        try:
            finished = PureRun(self.image, self._reader, self._catalog, start, who).execute()
        finally:
            self._reader.end()
        proposal = Proposal.decode(finished.proposal)
        if commit and kind == "mutation" and finished.value is not None:
            [outcome] = self.committer.commit([proposal])
            assert isinstance(outcome, Committed), outcome
        return Ended(finished, proposal)

    def mutate(self, path: str, args: Mapping[str, Any] | None = None, **options: Any) -> Ended:
        return self.run(path, args, kind="mutation", **options)

    def close(self) -> None:
        self._reader.close()
        self.committer.close()
        self.store.close()


class Deployment:
    """A host with its store, real isolates and a deployer; `async with` starts and ends it."""

    def __init__(
        self, folder: Path, *, minimum: int = 1, maximum: int = 3, fresh: bool = False
    ) -> None:
        self.folder = folder
        self.minimum, self.maximum, self.fresh = minimum, maximum, fresh
        self.pools: list[IsolatePool] = []
        self.env_changes = 0
        #: What was told of each run, in order.
        self.records: list[RunRecord] = []

    def keep(self, record: RunRecord) -> None:
        self.records.append(record)

    async def __aenter__(self) -> Deployment:
        self.store = Store.open(self.folder / "data", sync=lambda fd: None)
        self.committer = Committer(self.store)
        self.commits = CommitQueue(self.committer)
        self.system = SystemTransactions(self.store, self.commits)
        self.environment = DeploymentEnvironment(self.system, self._env_changed)
        self.host = Host(self.store, self.committer, self.commits, self.system, keeper=self)
        self.deployer = Deployer(
            self.host,
            self.system,
            database=self.store.database,
            new_pool=self._new_pool,
            on_deployed=lambda spec: self.scheduler.put_in_force(),
        )
        self.job_failures: list[str] = []
        self.scheduler = Scheduler(
            self.host,
            self.system,
            self.committer.subscriptions,
            source=Random(0),
            on_failure=lambda call, failure: self.job_failures.append(failure.message),
        )
        self.scheduler.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.scheduler.stop()
        await self.deployer.stop()
        self.host.close()
        self.system.close()
        self.committer.close()
        self.store.close()

    def _new_pool(self, on_lost: Callable[[], None]) -> IsolatePool:
        pool = IsolatePool(
            minimum=self.minimum, maximum=self.maximum, fresh=self.fresh, on_lost=on_lost
        )
        self.pools.append(pool)
        return pool

    def _env_changed(self) -> None:
        self.env_changes += 1

    async def deploy(self, **modules: str) -> Any:
        return await self.deployer.deploy(sources(**modules), self.folder / "convex")

    def call(self, kind: Any, path: str, args: Mapping[str, Any] | None = None) -> FunctionCall:
        return FunctionCall(
            kind=kind,
            path=path,
            args=codec.encode(dict(args or {})),
            identity=ANONYMOUS,
            request_id="r",
            origin="tester",
        )

    async def query(self, path: str, args: Mapping[str, Any] | None = None) -> Any:
        return await self.host.run_query(self.call("query", path, args))

    async def mutation(self, path: str, args: Mapping[str, Any] | None = None) -> Any:
        return await self.host.run_mutation(self.call("mutation", path, args))

    async def action(self, path: str, args: Mapping[str, Any] | None = None) -> Any:
        return await self.host.run_action(self.call("action", path, args))


async def until(condition: Callable[[], object], seconds: float = DEADLINE_S) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def gone(pids: list[int], seconds: float = DEADLINE_S) -> None:
    """Wait until none of these processes runs; a zombie of somebody else's doesn't."""
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if running(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in ("Z", "X")

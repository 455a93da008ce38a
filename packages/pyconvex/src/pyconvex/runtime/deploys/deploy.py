"""Putting an app into force.

Owns the path from source to running app: import in a fresh template, check variables, one
transaction over system tables, then the swap of isolates. One invariant: until that transaction
commits nothing has changed, and the old app goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from pyconvex.database import Namespace, Transaction, all_components, jobs
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.rollout import Rollout, fill_staged
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.pool import Pool
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.scheduling import cron_jobs
from pyconvex.runtime.settings import cursor_secret, trust
from pyconvex.runtime.settings.environment import MissingVariablesError, check_variables
from pyconvex.storage import StorageFailure

#: The system table that holds the source in force, a document a file.
_MODULES = "_modules"
#: The document in it that tells where the author edits the files; no module has such a path.
_FOLDER = ""
#: How long an import may take before newer source ends it, in seconds. A shorter one is let end, so
#: that an app whose own import writes into its folder is deployed all the same.
PATIENCE_S = 2.0
#: Pauses between tries to load the app in force again after its template was lost, in seconds.
FIRST_REVIVAL_PAUSE_S = 0.5
LAST_REVIVAL_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


class OutdatedError(Exception):
    """There is newer source than what was imported, so that import was ended; nothing changed."""


class Deployer:
    """Deploys apps to one host, one at a time."""

    def __init__(
        self,
        host: Host,
        system: SystemTransactions,
        *,
        database: Path,
        new_pool: Callable[[Callable[[], None]], Pool],
        on_deployed: Callable[[AppSpec], None],
    ) -> None:
        self._host = host
        self._system = system
        self._database = database
        self._new_pool = new_pool
        self._on_deployed = on_deployed
        self._pool: Pool | None = None
        self._one_at_a_time = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        #: Out of force, and not stopped yet.
        self._retiring: set[Pool] = set()
        #: Filling the staged indexes of the app in force; None when none was ever deployed.
        self._filling: asyncio.Task[None] | None = None

    async def deploy(
        self, sources: dict[str, str], folder: Path, *, outdated: asyncio.Event | None = None
    ) -> AppSpec:
        """Put these sources into force; `folder` is where their author edits them.

        `outdated` is set when these are not the newest any more: an import that takes long, and may
        hang, ends then with `OutdatedError`.

        Raises `AppLoadError` when they can't be imported, `MissingVariablesError` when a required
        variable is not set, `DatabaseError` when a stored document doesn't fit the new schema. The
        app that was in force stays so then; it also goes on while new indexes are filled.
        """
        async with self._one_at_a_time:
            return await self._deploy(sources, folder, outdated)

    def stored(self) -> tuple[dict[str, str], Path] | None:
        """The sources that were deployed last, None when nothing ever was."""
        return self._system.read(_stored)

    async def stop(self) -> None:
        """End all isolates."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        # A task that was cancelled before its first step has stopped nothing.
        for pool in (*self._retiring, *([self._pool] if self._pool is not None else [])):
            await pool.stop()

    async def _deploy(
        self, sources: dict[str, str], folder: Path, outdated: asyncio.Event | None = None
    ) -> AppSpec:
        pool = self._new_pool(self._lost)
        spec = await _loaded(pool.load(sources, folder, self._database), outdated)
        in_force, self._filling = self._filling, None
        if in_force is not None:
            in_force.cancel()
        try:
            # Once to say so before anything is forked, and once with what is put into force.
            self._system.read(lambda tx: check_variables(tx.namespace(""), spec.root.env))
            pool.open()
            await self._put_on_record(pool, spec, sources, folder)
        except BaseException:
            await pool.stop()
            raise
        self._swap(pool, spec)
        self._filling = self._start(self._fill_staged(spec))
        return spec

    async def _put_on_record(
        self, pool: Pool, spec: AppSpec, sources: dict[str, str], folder: Path
    ) -> None:
        """Make the data fit the new app, then say in one transaction that it is in force."""
        rollout = Rollout(self._system, pool, spec)
        key: trust.SigningKey | None = None
        if self._system.read(lambda tx: trust.needs_signing_key(tx, spec.auth)):
            key = await asyncio.to_thread(trust.new_signing_key)

        def record(tx: Transaction) -> None:
            _record(tx, spec, sources, folder)
            trust.record(tx, spec.auth, key)

        try:
            await rollout.prepare()
            await self._system.write(record, before=rollout.catch_up)
        except BaseException:
            await rollout.abandon()
            raise

    def _swap(self, pool: Pool, spec: AppSpec) -> None:
        old, self._pool = self._pool, pool
        self._host.put_in_force(pool, spec)
        self._on_deployed(spec)
        if old is not None:
            for run in old.hand_over():
                pool.adopt(run)
            self._retiring.add(old)
            self._start(self._retire(old))

    def _lost(self) -> None:
        """The template of the app in force is gone, and its isolates with it: load it again."""
        _log.error("The process that forks isolates is gone; it is started again.")
        self._start(self._revive())

    async def _revive(self) -> None:
        pause_s = FIRST_REVIVAL_PAUSE_S
        while True:
            async with self._one_at_a_time:
                stored = self.stored()
                if stored is None:
                    return
                try:
                    await self._deploy(*stored)
                except (AppLoadError, MissingVariablesError, HostError) as error:
                    _log.error("The app in force can't be loaded again: %s", error)
                else:
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_REVIVAL_PAUSE_S)

    async def _fill_staged(self, spec: AppSpec) -> None:
        try:
            await fill_staged(self._system, spec)
        except (HostError, StorageFailure) as error:
            _log.error("Staged indexes are not filled; the next deploy goes on: %s", error)

    async def _retire(self, pool: Pool) -> None:
        """Let runs that have begun end, then end their isolates."""
        await pool.drain()
        await pool.stop()
        self._retiring.discard(pool)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    @property
    def pids(self) -> list[int]:
        """The processes of the app in force."""
        return self._pool.pids if self._pool is not None else []


async def _loaded(load: Coroutine[Any, Any, AppSpec], outdated: asyncio.Event | None) -> AppSpec:
    """What an import gives, unless it takes long and there is newer source."""
    if outdated is None:
        return await load
    loading, ending = asyncio.create_task(load), asyncio.create_task(_long_outdated(outdated))
    try:
        await asyncio.wait({loading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            return loading.result()
    finally:
        loading.cancel()
        ending.cancel()
        await asyncio.gather(loading, ending, return_exceptions=True)
    raise OutdatedError("The import that was under way has been ended: there is newer source.")


async def _long_outdated(outdated: asyncio.Event) -> None:
    await asyncio.sleep(PATIENCE_S)
    await outdated.wait()


def _record(tx: Transaction, spec: AppSpec, sources: dict[str, str], folder: Path) -> None:
    """Write all that the app is: components, tables, indexes, queues, and its source."""
    check_variables(tx.namespace(""), spec.root.env)
    in_force = {component.path for component in spec.components}
    for row in all_components(tx):
        if row.path not in in_force:
            tx.namespace(row.path).remove_component()
    for component in spec.components:
        namespace = tx.namespace(component.path)
        definition = msgspec.json.encode(component).decode()
        namespace.set_component(component.version, definition)
        for table in component.tables:
            namespace.declare_table(table.name, table.indexes, table.staged)
        _drop_indexes(namespace, {table.name for table in component.tables})
        for queue in component.queues:
            namespace.declare_queue(queue)
    jobs.declare(tx, in_force)
    cron_jobs.deploy(tx, spec.components)
    _store_sources(tx, sources, folder)
    cursor_secret.ensure(tx)


def _drop_indexes(namespace: Namespace, declared: set[str]) -> None:
    """A table that is in no schema any more keeps its documents, and nothing else."""
    for name in namespace.table_names():
        if name not in declared and not name.startswith("_") and namespace.index_names(name):
            namespace.declare_table(name, {})


def _store_sources(tx: Transaction, sources: dict[str, str], folder: Path) -> None:
    modules = tx.namespace("", system=True)
    wanted = {_FOLDER: str(folder), **sources}
    for document in list(modules.scan(_MODULES)):
        if wanted.get(str(document["path"])) == document["source"]:
            del wanted[str(document["path"])]
        else:
            modules.delete(str(document["_id"]))
    for path, source in wanted.items():
        modules.insert(_MODULES, {"path": path, "source": source})


def _stored(tx: Transaction) -> tuple[dict[str, str], Path] | None:
    rows = tx.namespace("", system=True).scan(_MODULES)
    sources = {str(row["path"]): str(row["source"]) for row in rows}
    folder = sources.pop(_FOLDER, None)
    return None if folder is None else (sources, Path(folder))

"""The server: everything of one deployment in one process, put together.

Owns construction order, start and stop. Never holds logic of its own. One invariant: what `start`
began, `stop` ends, in the reverse order, also when `start` failed half-way.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

import pyconvex
from pyconvex.auth import (
    DeploymentAuthenticator,
    HttpFetch,
    Keyring,
    TokenVerifier,
    advice,
    user_to_act_as,
)
from pyconvex.companions import Companions, Project
from pyconvex.dashboard import Dashboard, Sessions, sign_in_url
from pyconvex.database import Committer
from pyconvex.delivery.breaker import Backoff
from pyconvex.delivery.messages import LaneStatus
from pyconvex.delivery.supervisor import LaneSupervisor
from pyconvex.export import ActiveSync, ActiveSyncs, Exporter
from pyconvex.http import Deployment, Exports, IssuerDocuments, SiteEndpoint, create_app
from pyconvex.log_streams import deployment as events_of
from pyconvex.runlog.log import RunLog
from pyconvex.runlog.recent import RecentRuns
from pyconvex.runtime.app.loader import read_sources
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.deploys.deploy import Deployer
from pyconvex.runtime.host import Host
from pyconvex.runtime.isolates.in_process import InProcessPool
from pyconvex.runtime.isolates.isolate_pool import IsolatePool
from pyconvex.runtime.isolates.pool import Pool
from pyconvex.runtime.scheduling.scheduler import Scheduler
from pyconvex.runtime.settings import addresses, cursor_secret
from pyconvex.runtime.settings.environment import DeploymentEnvironment
from pyconvex.server import sync_records
from pyconvex.server.audit import AuditLog, deployed
from pyconvex.server.host_events import HostEvents
from pyconvex.server.keys import admin_key
from pyconvex.server.lanes import LaneBridge, host_lanes, lane_components, lane_keys, with_losses
from pyconvex.server.listening import Serving, address_of, listen
from pyconvex.server.log_streams import LogStreams
from pyconvex.server.maintenance import forget_jobs, maintain, sweep_run_log
from pyconvex.server.operations import ServerOperations
from pyconvex.server.queues import DeploymentQueues
from pyconvex.server.settings import Settings
from pyconvex.server.trusting import TrustInForce
from pyconvex.storage import StorageFailure, Store
from pyconvex.sync import SyncEndpoint

#: What a companion needs may take somebody hours to mend; he is told why every few minutes.
COMPANION_BACKOFF = Backoff(base_s=1.0, ceiling_s=300.0)


class Server:
    """One deployment. `start` it, `deploy` to it, `stop` it; or use it as an async context manager.

    async with Server(Settings(data=Path("data"), port=0)) as server:
        await server.deploy(Path("convex"))
        print(server.url)
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack = AsyncExitStack()
        self._env_changed = asyncio.Event()
        self._watching_variables: list[asyncio.Event] = []
        self._sessions = Sessions()

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the data folder and listen. Raises `FolderRefused` or `PortTakenError`."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything; what was acknowledged is durable."""
        await self._stack.aclose()

    @property
    def admin_key(self) -> str:
        """The key that lets a caller do everything."""
        return self._key.text

    @property
    def pids(self) -> list[int]:
        """The processes that run the app's code."""
        return self._deployer.pids

    @property
    def recent_runs(self) -> RecentRuns:
        """The newest executions."""
        return self._run_log.recent

    def lane_status(self) -> tuple[LaneStatus, ...]:
        """How the lanes fare."""
        return tuple(with_losses(self._lanes.status(), self._run_log))

    def _queue_number(self, component: str, name: str) -> int | None:
        return self._system.read(lambda tx: tx.namespace(component).queue_number(name))

    def sign_in_link(self) -> str:
        """An address that signs in to the dashboard whoever opens it first."""
        return sign_in_url(self._sessions, self.settings.cloud_origin or self.url)

    def auth_advice(self) -> list[str]:
        """What is wrong or easily overlooked with the identity providers of the app in force."""
        if self._spec is None:
            return []
        trusted = self._trust.current()
        return advice(self._spec.auth, trusted.providers, has_key=trusted.own_jwks is not None)

    async def deploy(self, functions: Path, *, outdated: asyncio.Event | None = None) -> AppSpec:
        """Put the app in this folder into force; see `Deployer.deploy` for what it raises."""
        folder = functions.resolve()  # noqa: ASYNC240  # a few stats at a deploy
        return await self._deployer.deploy(read_sources(folder), folder, outdated=outdated)

    @property
    def has_app(self) -> bool:
        """Whether an app is in force."""
        return self._spec is not None

    async def redeploy(self) -> AppSpec | None:
        """Put into force what was deployed last; None when nothing ever was."""
        stored = self._deployer.stored()
        return await self._deployer.deploy(*stored) if stored else None

    def variables(self) -> dict[str, str]:
        """The deployment's variables, as they are now."""
        return self._environment.current()

    def watch_variables(self) -> asyncio.Event:
        """An event that is set after each change of variables; whoever waits for it clears it."""
        event = asyncio.Event()
        self._watching_variables.append(event)
        return event

    async def environment_change(self) -> None:
        """Return when variables have changed since the last call."""
        await self._env_changed.wait()
        self._env_changed.clear()

    async def _start(self) -> None:
        listener, site_listener = self._take_ports()
        committer = self._open_data()
        host = self._make_host(committer)
        self._run_by_itself(host, committer)
        self._companions = self._new_companions()
        self._stack.push_async_callback(self._companions.ended)
        await self._tell_address()
        authenticator = self._make_authenticator(committer)
        answering = SiteEndpoint(host, authenticator, redact=self.settings.redact_logs_to_client)
        site = IssuerDocuments(answering, self._trust.published)
        await self._serve(self._api(host, authenticator, site, listener), listener)
        await self._serve(site, site_listener)
        self._stack.callback(answering.end_streams)
        self._companions.start()
        self._stack.callback(self._companions.leave)

    def _take_ports(self) -> tuple[socket.socket, socket.socket]:
        settings = self.settings
        listener = listen(settings.host, settings.port, "--port")
        self._stack.callback(listener.close)
        site_listener = listen(settings.host, settings.site_port_or_next, "--site-port")
        self._stack.callback(site_listener.close)
        self.url = address_of(settings.host, listener)
        self.site_url = address_of(settings.host, site_listener)
        return listener, site_listener

    def _open_data(self) -> Committer:
        """Open what is in the data folder, and the one way to change it."""
        settings = self.settings
        self._store = Store.open(settings.data)
        self._stack.callback(self._store.close)
        self._run_log = RunLog(settings.data, on_written=self._wake_lanes)
        self._run_log.start()
        self._stack.callback(self._run_log.close)
        self._key = admin_key(settings.data, settings.name)
        committer = Committer(self._store)
        self._stack.callback(committer.close)
        self._commits = CommitQueue(committer)
        self._system = SystemTransactions(self._store, self._commits)
        self._stack.callback(self._system.close)
        return committer

    def _make_host(self, committer: Committer) -> Host:
        """What runs functions, and what puts an app into force there."""
        store, system = self._store, self._system
        self._audit = AuditLog(self._run_log)
        self._environment = DeploymentEnvironment(system, self._on_env_change, self._audit.tell)
        host = Host(
            store,
            committer,
            self._commits,
            system,
            on_appended=self._wake_lanes,
            keeper=self._run_log,
        )
        self._stack.callback(host.close)
        self._lanes = LaneSupervisor(LaneBridge(host, store, self._run_log))
        self._stack.push_async_callback(self._lanes.stop)
        self._deployer = Deployer(
            host,
            system,
            database=store.database,
            new_pool=self._new_pool,
            on_deployed=self._on_deployed,
        )
        self._stack.push_async_callback(self._deployer.stop)
        self._spec: AppSpec | None = None
        return host

    def _run_by_itself(self, host: Host, committer: Committer) -> None:
        """What goes on without a request: exports, schedules, lanes, log streams, maintenance."""
        store, system, run_log = self._store, self._system, self._run_log
        # Two processes: looking at all tables takes long, and pages don't wait for it.
        self._exporter, self._surveyor = self._new_exporter(), self._new_exporter()
        self._active_syncs = ActiveSyncs(
            lambda: time.time() * 1000,
            self._keep_sync,
            system.read(sync_records.all_syncs),
            lambda sync_id: self._audit.tell("create_data_sync", {"sync_id": sync_id}),
        )
        self._scheduler = Scheduler(host, system, committer.subscriptions)
        self._scheduler.start()
        self._stack.push_async_callback(self._scheduler.stop)
        self._host_lanes = host_lanes()
        self._lane_keys: list[str] = []
        self._lanes.start(self.settings.data, [], store.durable_ts)
        self.log_streams = self._log_streams(run_log)
        self.log_streams.start()
        self._stack.push_async_callback(self.log_streams.stop)
        self.host_events = HostEvents(
            run_log,
            store,
            host.concurrency,
            self._scheduler.lateness,
            self._lanes.status,
        )
        self._background(self.host_events.run())
        self._background(maintain(store, self._commits, sweeps=[partial(forget_jobs, system)]))
        self._background(sweep_run_log(run_log))

    def _make_authenticator(self, committer: Committer) -> DeploymentAuthenticator:
        issuer = self.settings.site_origin or self.site_url
        self._trust = TrustInForce(self._system, committer.subscriptions, issuer)
        self._stack.callback(self._trust.close)
        fetch = HttpFetch()
        self._stack.push_async_callback(fetch.aclose)
        tokens = TokenVerifier(self._trust.current, Keyring(fetch))
        return DeploymentAuthenticator(self._key, tokens)

    async def _tell_address(self) -> None:
        """Have functions and tools read where this server is; nothing is written if they do."""
        now = {
            addresses.CLOUD_URL: self.settings.cloud_origin or self.url,
            addresses.SITE_URL: self.settings.site_origin or self.site_url,
        }
        if self._system.read(lambda tx: addresses.differ(tx, now)):
            await self._system.write(lambda tx: addresses.record(tx, now))

    def _api(
        self,
        host: Host,
        authenticator: DeploymentAuthenticator,
        site: ASGIApp,
        listener: socket.socket,
    ) -> ASGIApp:
        redact = self.settings.redact_logs_to_client
        queues = DeploymentQueues(
            host,
            self._store,
            self._audit,
            app=lambda: self._spec,
            number=self._queue_number,
            lanes=self.lane_status,
            wake=self._wake_lanes,
        )
        return create_app(
            host,
            authenticator=authenticator,
            environment=self._environment,
            sync=SyncEndpoint(host, authenticator, redact=redact),
            site=site,
            dashboard=Dashboard(
                self._sessions,
                authenticator,
                self._run_log.recent,
                log_streams=self.log_streams,
                companions=self._companions.status,
                queues=queues.listed,
                host=host,
                acts_as=user_to_act_as,
                deployment=self.settings.name,
                cookie=f"pyconvex_{listener.getsockname()[1]}",
                origin=self.settings.cloud_origin,
            ),
            deployment=Deployment(
                name=self.settings.name, version=pyconvex.__version__, redact=redact
            ),
            operator=ServerOperations(
                self._deployer,
                self._store,
                self._system,
                self._audit,
                settings=self.settings,
                queues=queues.levels,
                lanes=self.lane_status,
                companions=self._companions.status,
                app=lambda: self._spec,
                auth_advice=self.auth_advice,
                sessions=self._sessions,
            ),
            recent=self._run_log.recent,
            exports=Exports(
                exporter=self._exporter, surveyor=self._surveyor, active=self._active_syncs
            ),
            log_streams=self.log_streams,
            queues=queues,
        )

    def _log_streams(self, run_log: RunLog) -> LogStreams:
        settings = self.settings
        return LogStreams(
            self._system,
            run_log,
            self._audit,
            events_of.Deployment(
                deployment_name=settings.name, deployment_type=settings.deployment_type
            ),
            configure=self._lanes.configure_loose,
            lanes=self._lanes.status,
            variables=self.variables,
            printing=settings.print_events,
        )

    def _new_companions(self) -> Companions:
        settings = self.settings
        urls = [self.url] if settings.cloud_origin is None else [self.url, settings.cloud_origin]
        chance = random.Random()  # noqa: S311 - jitter, not a secret
        return Companions(
            Project(folder=(settings.project or Path()).resolve(), urls=tuple(urls)),
            self.admin_key,
            pause_s=lambda failures: COMPANION_BACKOFF.pause_s(failures, chance),
            points=() if settings.project is None else None,
        )

    def _new_exporter(self) -> Exporter:
        exporter = Exporter(
            self._store.database, secret=self._cursor_secret, wait_durable=self._store.wait_durable
        )
        self._stack.push_async_callback(exporter.close)
        return exporter

    async def _keep_sync(self, sync: ActiveSync, gone: list[str]) -> None:
        # A page that is made is worth more than a note of it.
        with contextlib.suppress(HostError, StorageFailure):
            await self._system.write(lambda tx: sync_records.keep(tx, sync, gone))

    async def _cursor_secret(self) -> bytes:
        """What cursors are sealed with, also before the first deploy."""
        if not self._system.read(cursor_secret.stored):
            await self._system.write(cursor_secret.ensure)
        return self._system.read(cursor_secret.stored)

    async def _serve(self, app: ASGIApp, listener: socket.socket) -> None:
        serving = Serving(app, listener)

        async def end() -> None:
            self._run_log.recent.close()  # or who follows it would be a request without an end
            await serving.end()

        self._stack.push_async_callback(end)
        await serving.wait_listening()

    def _new_pool(self, on_lost: Callable[[], None]) -> Pool:
        if self.settings.isolates == 0:
            return InProcessPool()
        return IsolatePool(
            minimum=self.settings.isolates,
            maximum=self.settings.max_isolates,
            fresh=self.settings.fresh,
            on_lost=on_lost,
        )

    def _on_deployed(self, spec: AppSpec) -> None:
        self._spec = spec
        self._scheduler.put_in_force()
        self._configure_lanes(spec)
        self._audit.tell("push_config", deployed(spec))

    def _configure_lanes(self, spec: AppSpec) -> None:
        components = lane_components(spec, self._environment, self._system, self._host_lanes)
        self._lane_keys = lane_keys(components)
        self._run_log.set_lanes(self._lane_keys)
        self._lanes.configure(components)

    def _on_env_change(self) -> None:
        for changed in (self._env_changed, *self._watching_variables):
            changed.set()
        if self._spec is None:
            return
        components = lane_components(self._spec, self._environment, self._system, self._host_lanes)
        if lane_keys(components) != self._lane_keys:  # one of the host has what it needs, or not
            self._configure_lanes(self._spec)
            return
        for component in components:
            self._lanes.env_changed(component.path, component.env)

    def _wake_lanes(self) -> None:
        self._lanes.wake(self._store.durable_ts)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self._stack.push_async_callback(end)

"""The host: carries out calls, from arrival to durable outcome.

Owns what answers each kind of call, put together once. Never decodes arguments, results or
documents. One invariant: nothing is returned that was computed at, or committed after, a timestamp
that is not yet durable.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from pyconvex.database import Committer
from pyconvex.runtime.answering.actions import Actions, http_call
from pyconvex.runtime.answering.cache import ResultCache
from pyconvex.runtime.answering.executions import Executions
from pyconvex.runtime.answering.in_force import SEED_BYTES, AppInForce
from pyconvex.runtime.answering.mutations import Mutations
from pyconvex.runtime.answering.no_app import NoApp
from pyconvex.runtime.answering.queries import QueryRounds
from pyconvex.runtime.answering.reports import Keeper, KeepsNothing, RunReports
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import FunctionCall, FunctionKind, Outcome, Replay
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.http_actions.http_exchange import Exchange, HttpCall
from pyconvex.runtime.http_actions.routes import FoundRoute
from pyconvex.runtime.isolates.pool import Pool
from pyconvex.runtime.isolates.runs import OnCall, Run
from pyconvex.runtime.settings import cursor_secret
from pyconvex.storage import Store


class Host:
    """Runs functions of the app in force (`pyconvex.runtime.calls.Host`)."""

    def __init__(
        self,
        store: Store,
        committer: Committer,
        commits: CommitQueue,
        system: SystemTransactions,
        *,
        on_appended: Callable[[], None] = lambda: None,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
        new_seed: Callable[[], int] = lambda: int.from_bytes(os.urandom(SEED_BYTES)),
        steady_s: Callable[[], float] = time.monotonic,
        keeper: Keeper | None = None,
    ) -> None:
        self._store = store
        self._commits = commits
        self._system = system
        self._reader = store.reader()
        reports = RunReports(KeepsNothing() if keeper is None else keeper, now_ms)
        self._app = AppInForce(
            NoApp(self._reader),
            now_ms=now_ms,
            new_seed=new_seed,
            new_execution_id=reports.new_execution_id,
        )
        #: How many functions run and wait.
        self.concurrency = self._app.concurrency
        self._mutations = Mutations(
            self._app,
            store,
            self._reader,
            commits,
            reports,
            on_appended=on_appended,
            now_ms=now_ms,
        )
        self._actions = Actions(self, system, reports)
        executions = Executions(
            self._app, store, commits, system, reports, now_ms=now_ms, steady_s=steady_s
        )
        cache = ResultCache(committer.log, now_s=steady_s)
        self.queries = QueryRounds(executions, committer.subscriptions, cache)

    async def drain(self) -> None:
        """Return once no mutation is under way, also those whose callers have left."""
        await self._mutations.drain()

    def close(self) -> None:
        """Let go of the data folder; call when nothing runs any more."""
        self._reader.close()

    def put_in_force(self, pool: Pool, spec: AppSpec) -> None:
        """Run everything from now on in `pool`, which has loaded the app that `spec` describes."""
        self._app.put(pool, spec, self._system.read(cursor_secret.stored))

    @property
    def visible_ts(self) -> int:
        """The newest commit."""
        return self._store.visible_ts

    @property
    def durable_ts(self) -> int:
        """The newest timestamp at which everything is durable."""
        return self._store.durable_ts

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` is durable."""
        await self._store.wait_durable(ts)

    async def between_commits(self, work: Callable[[], int]) -> int:
        """Change the store by other means than a proposal, in turn with commits; durable, and at
        which timestamp, when this returns.
        """
        ts = await self._commits.between(work)
        await self.wait_durable(ts)
        return ts

    # What is in force

    @property
    def session_header(self) -> str:
        """The header whose value names a caller's session; "" for none."""
        return self._app.session_header

    def kind_of(self, component: str, path: str, *, public_only: bool) -> FunctionKind | None:
        """What kind of function this is; None when missing or hidden."""
        return self._app.kind_of(component, path, public_only=public_only)

    @property
    def answers_http(self) -> bool:
        """Whether the app in force has HTTP actions."""
        return self._app.answers_http

    def find_route(self, method: str, path: str) -> FoundRoute | None:
        """The HTTP action that answers this request, if one does."""
        return self._app.find_route(method, path)

    # Calls

    async def run_query(self, call: FunctionCall) -> Outcome:
        """Run a query on the newest snapshot, or answer from a result that is still true."""
        return (await self.queries.once(call)).outcome

    async def run_mutation(
        self,
        call: FunctionCall,
        replay: Replay | None = None,
        on_visible: Callable[[int], None] | None = None,
    ) -> Outcome:
        """Run a mutation until it commits, fails or is out of retries; see `calls.Host`."""
        return await self._mutations.run(call, replay, on_visible)

    async def run_action(self, call: FunctionCall) -> Outcome:
        """Run an action, once."""
        return await self._actions.run(call)

    async def run_any(self, call: FunctionCall) -> Outcome:
        """Run a function of whatever kind."""
        match call.kind:
            case "query":
                return await self.run_query(call)
            case "mutation":
                return await self.run_mutation(call)
            case _:
                return await self.run_action(call)

    async def run_http_action(self, request: HttpCall, exchange: Exchange) -> Outcome:
        """Let an HTTP action answer a request, once; what it answers goes through `exchange`."""
        return await self._actions.run(http_call(request, self.session_header), exchange)

    def submit_action(self, call: FunctionCall, on_call: OnCall) -> Run:
        """Start an action (`pyconvex.runtime.answering.actions.ActionHost`)."""
        return self._app.submit(call, on_call=on_call)

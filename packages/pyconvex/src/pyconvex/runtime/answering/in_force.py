"""The app in force, and the way of every run to an isolate of it.

Owns the pool, what a deploy found, and the seed and clock of each run. Never decodes arguments or
results. One invariant: the outcome of a run on code that its snapshot says is too old is given to
nobody.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from pyconvex import identity
from pyconvex.runtime.answering.concurrency import Concurrency
from pyconvex.runtime.answering.no_app import NoApp
from pyconvex.runtime.app.spec import AppSpec, FunctionSpec
from pyconvex.runtime.calls import FunctionCall, FunctionKind, HostError
from pyconvex.runtime.http_actions.routes import FoundRoute, HttpRoutes
from pyconvex.runtime.isolates.pool import Pool, submit
from pyconvex.runtime.isolates.runs import OnCall, Run, Work
from pyconvex.runtime.processes import messages

#: Enough that nobody guesses a token that a mutation made from an id that it made as well.
SEED_BYTES = 32
#: Runs on isolates that a deploy made too old, until the call is given back.
MAX_STALE_RUNS = 3
#: How long the swap of isolates may take after a deploy's commit became visible, in seconds: what
#: is between them is one wait for the disk.
SWAP_LIMIT_S = 10.0
#: Origins of calls that nobody waits for.
_SCHEDULED = ("cron", "scheduler")
_KINDS: dict[str, FunctionKind] = {"Query": "query", "Mutation": "mutation", "Action": "action"}


class AppInForce:
    """Where runs go; while no app is in force `no_app` has them."""

    def __init__(
        self,
        no_app: NoApp,
        *,
        now_ms: Callable[[], float],
        new_seed: Callable[[], int],
        new_execution_id: Callable[[], str],
    ) -> None:
        self._no_app = no_app
        self._now_ms = now_ms
        self._new_seed = new_seed
        self._new_execution_id = new_execution_id
        self._run_ids = itertools.count(1)
        self._pool: Pool | None = None
        #: Set when another pool takes over from `_pool`.
        self.replaced = asyncio.Event()
        self._functions: dict[tuple[str, str], FunctionSpec] = {}
        self._routes = HttpRoutes(AppSpec([]))
        self._cursor_secret = b""
        #: The header whose value names a caller's session; "" for none.
        self.session_header = ""
        #: How many functions run and wait.
        self.concurrency = Concurrency()

    def put(self, pool: Pool, spec: AppSpec, cursor_secret: bytes) -> None:
        """Run everything from now on in `pool`, which has loaded the app that `spec` describes."""
        self._pool = pool
        self._cursor_secret = cursor_secret
        replaced, self.replaced = self.replaced, asyncio.Event()
        replaced.set()
        self._routes = HttpRoutes(spec)
        self.session_header = spec.session_header
        self._functions = {
            (component.path, function.path): function
            for component in spec.components
            for function in component.functions
        }

    def kind_of(self, component: str, path: str, *, public_only: bool) -> FunctionKind | None:
        """What kind of function this is; None when missing or hidden."""
        function = self._functions.get((component, path))
        if function is None or (public_only and (component or not function.public)):
            return None
        return _KINDS[function.kind]

    @property
    def answers_http(self) -> bool:
        """Whether it has HTTP actions."""
        return bool(self._routes)

    def find_route(self, method: str, path: str) -> FoundRoute | None:
        """The HTTP action that answers this request, if one does."""
        return self._routes.find(method, path)

    async def run_current(
        self, call: FunctionCall, journal: str | None = None, work: Work | None = None
    ) -> tuple[messages.Start, messages.Finished]:
        """Run a query or mutation with the code that its snapshot says is in force.

        Between a deploy's commit and the swap of isolates, the old ones find themselves too old.
        """
        for _ in range(MAX_STALE_RUNS):
            replaced = self.replaced
            run = self.submit(call, journal=journal, work=work)
            finished = await run.result()
            if not finished.stale:
                return run.start, finished
            await until_swapped(replaced)
        raise _busy_deploying()

    def submit(
        self,
        call: FunctionCall,
        *,
        journal: str | None = None,
        announce: bool = False,
        work: Work | None = None,
        on_call: OnCall | None = None,
    ) -> Run:
        """Start one run, of whatever code is in the isolates."""
        start = messages.Start(
            run_id=next(self._run_ids),
            kind=call.kind,
            component=call.component,
            path=call.path,
            args=call.args,
            identity=identity.encode(call.identity),
            request_id=call.request_id,
            now_ms=self._now_ms(),
            seed=self._new_seed().to_bytes(SEED_BYTES, "little"),
            public_only=call.public_only,
            announce=announce,
            cursor_secret=self._cursor_secret,
            journal=journal,
            execution_id=self._new_execution_id(),
            job=call.job,
            # What a query saw would be everybody's who asks the same.
            session_id="" if call.kind == "query" else call.session_id,
            trace=call.trace,
            attempt=call.attempt,
        )
        if self._pool is None:
            return self._no_app.submit(start)
        if work is None:
            work = Work.SCHEDULED if call.origin in _SCHEDULED else Work.CALL
        run = submit(self._pool, start, work=work, client=call.client, on_call=on_call)
        self.concurrency.count(run)
        return run


async def until_swapped(replaced: asyncio.Event) -> None:
    """Wait until another pool is in force. Raises `HostError` when that doesn't happen."""
    try:
        async with asyncio.timeout(SWAP_LIMIT_S):
            await replaced.wait()
    except TimeoutError:
        raise _busy_deploying() from None


def _busy_deploying() -> HostError:
    return HostError(
        503, "DeployInProgress", "A new version of the app is being put into force. Try again."
    )

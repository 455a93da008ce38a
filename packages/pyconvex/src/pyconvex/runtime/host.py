"""The host: carries out calls, from arrival to durable outcome.

Owns the loop of a mutation (run, commit, run again on conflict), the execution of queries for
`QueryRounds`, and the way of every run to an isolate. Never decodes arguments, results or
documents. One invariant: nothing is returned that was computed at, or committed after, a timestamp
that is not yet durable.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import msgspec

from pyconvex import identity
from pyconvex.database import (
    Committed,
    Committer,
    Conflict,
    Transaction,
)
from pyconvex.runtime.answering.actions import Actions, http_call
from pyconvex.runtime.answering.cache import TIMED_RESULT_AGE_S, Execution, ResultCache
from pyconvex.runtime.answering.concurrency import Concurrency
from pyconvex.runtime.answering.contention import Contention
from pyconvex.runtime.answering.no_app import NoApp
from pyconvex.runtime.answering.outcome import outcome_of
from pyconvex.runtime.answering.queries import QueryRounds
from pyconvex.runtime.answering.reports import (
    Keeper,
    KeepsNothing,
    RunReports,
    id_of_error,
    offers_of,
    query_reason,
)
from pyconvex.runtime.app.spec import AppSpec, FunctionSpec
from pyconvex.runtime.calls import (
    Failure,
    FunctionCall,
    FunctionKind,
    HostError,
    Outcome,
    QueryResult,
    Replay,
    Success,
)
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.http_actions.http_exchange import Exchange, HttpCall
from pyconvex.runtime.http_actions.routes import FoundRoute, HttpRoutes
from pyconvex.runtime.isolates.pool import Pool
from pyconvex.runtime.isolates.runs import IsolateGoneError, OnCall, Run, Work
from pyconvex.runtime.processes import messages
from pyconvex.runtime.settings import cursor_secret
from pyconvex.storage import Proposal, Rejected, Replayed, Store, StoredReplay
from pyconvex.storage import Replay as ReplayRecord

#: Runs of one mutation before its caller is told of the conflict. From the second on it runs alone
#: among those that conflict over the same document, so that more tries seldom help.
MAX_MUTATION_RUNS = 20
#: Enough that nobody guesses a token that a mutation made from an id that it made as well.
SEED_BYTES = 32
#: Runs on isolates that a deploy made too old, until the call is given back.
MAX_STALE_RUNS = 3
#: How long the swap of isolates may take after a deploy's commit became visible, in seconds: what
#: is between them is one wait for the disk.
SWAP_LIMIT_S = 10.0


class _Recorded(msgspec.Struct, array_like=True, frozen=True):
    """A mutation's success as it is kept for a repeat."""

    value: bytes
    log_lines: tuple[str, ...]


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
        new_seed: Callable[[], int] = lambda: secrets.randbits(8 * SEED_BYTES),
        steady_s: Callable[[], float] = time.monotonic,
        keeper: Keeper | None = None,
    ) -> None:
        self._store = store
        self._reader = store.reader()
        self._no_app = NoApp(self._reader)
        self._commits = commits
        self._system = system
        self._on_appended = on_appended
        self._now_ms = now_ms
        self._new_seed = new_seed
        self._steady_s = steady_s
        self._reports = RunReports(KeepsNothing() if keeper is None else keeper, now_ms)
        self._actions = Actions(self, system, self._reports, self._gone)
        self._pool: Pool | None = None
        #: Set when another pool takes over from `_pool`.
        self._replaced = asyncio.Event()
        self._functions: dict[tuple[str, str], FunctionSpec] = {}
        self._routes = HttpRoutes(AppSpec([]))
        self._cursor_secret = b""
        #: The header whose value names a caller's session; "" for none.
        self.session_header = ""
        self._run_ids = itertools.count(1)
        #: How many functions run and wait.
        self.concurrency = Concurrency()
        self._contention = Contention()
        self._under_way: set[asyncio.Task[Outcome]] = set()
        cache = ResultCache(committer.log, now_s=steady_s)
        self.queries = QueryRounds(self, committer.subscriptions, cache)

    async def drain(self) -> None:
        """Return once no mutation is under way, also those whose callers have left."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def close(self) -> None:
        """Let go of the data folder; call when nothing runs any more."""
        self._reader.close()

    def put_in_force(self, pool: Pool, spec: AppSpec) -> None:
        """Run everything from now on in `pool`, which has loaded the app that `spec` describes."""
        self._pool = pool
        self._cursor_secret = self._system.read(cursor_secret.stored)
        replaced, self._replaced = self._replaced, asyncio.Event()
        replaced.set()
        self._routes = HttpRoutes(spec)
        self.session_header = spec.session_header
        self._functions = {
            (component.path, function.path): function
            for component in spec.components
            for function in component.functions
        }

    # What edges see

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

    def kind_of(self, component: str, path: str, *, public_only: bool) -> FunctionKind | None:
        """What kind of function this is; None when missing or hidden."""
        function = self._functions.get((component, path))
        if function is None or (public_only and (component or not function.public)):
            return None
        return _KINDS[function.kind]

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
        task = asyncio.create_task(self._mutate(call, replay, on_visible))
        self._under_way.add(task)
        task.add_done_callback(self._mutated)
        return await asyncio.shield(task)

    async def run_action(self, call: FunctionCall) -> Outcome:
        """Run an action, once."""
        return await self._actions.run(call)

    @property
    def answers_http(self) -> bool:
        """Whether the app in force has HTTP actions."""
        return bool(self._routes)

    def find_route(self, method: str, path: str) -> FoundRoute | None:
        """The HTTP action that answers this request, if one does."""
        return self._routes.find(method, path)

    async def run_http_action(self, request: HttpCall, exchange: Exchange) -> Outcome:
        """Let an HTTP action answer a request, once; what it answers goes through `exchange`."""
        return await self._actions.run(http_call(request, self.session_header), exchange)

    async def _gone(
        self,
        call: FunctionCall,
        gone: IsolateGoneError,
        began_ms: float,
        action: Run | None = None,
    ) -> Failure:
        """A mutation or action whose isolate is gone."""
        record = self._reports.lost(call, str(gone), began_ms=began_ms, action=action)
        await self._reports.keep(record)
        told = () if action is None else tuple(line.as_client() for line in action.told)
        return Failure(str(gone), None, told, id_of_error(record.report), lost=gone.lost)

    # Mutations

    def _mutated(self, task: asyncio.Task[Outcome]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have left

    async def _mutate(
        self,
        call: FunctionCall,
        replay: Replay | None,
        on_visible: Callable[[int], None] | None,
    ) -> Outcome:
        guessed = line = self._contention.line_for(call)
        began_ms = self._now_ms()
        for run in range(MAX_MUTATION_RUNS):
            async with line or nullcontext():
                try:
                    start, finished = await self._run_current(_attempt(call, run))
                except IsolateGoneError as gone:
                    return await self._gone(call, gone, began_ms)
                proposal = Proposal.decode(finished.proposal)
                if finished.value is None:
                    return await self._mutation_failed(call, start, finished, proposal, replay)
                if replay is not None:
                    proposal = _with_replay(proposal, replay, finished)
                outcome = await self._commits.submit(proposal)
            match outcome:
                case Committed():
                    if on_visible is not None:
                        on_visible(outcome.ts)
                    if run == 0 and guessed is None:
                        self._contention.passed(call)
                    elif run == 0 and guessed is not None:
                        self._contention.stood(call, guessed, proposal.reads)
                    await self.wait_durable(outcome.ts)
                    if proposal.appends:
                        self._on_appended()
                    record = self._reports.ended(call, start, finished, retries=run)
                    await self._reports.keep(record)
                    return outcome_of(finished, outcome.ts)
                case Replayed():
                    return await self._replayed(outcome.ts, outcome.result)
                case Conflict():
                    line = self._contention.conflicted(call, outcome)
                    will_retry = run + 1 < MAX_MUTATION_RUNS
                    record = self._reports.conflicted(
                        call, start, finished, outcome, retries=run, will_retry=will_retry
                    )
                    await self._reports.keep(record)
                case Rejected():
                    raise HostError(500, "InternalServerError", outcome.reason)
        assert isinstance(outcome, Conflict)
        raise HostError(503, "OptimisticConcurrencyControlFailure", outcome.message(call.path))

    async def _mutation_failed(
        self,
        call: FunctionCall,
        start: messages.Start,
        finished: messages.Finished,
        proposal: Proposal,
        replay: Replay | None,
    ) -> Outcome:
        """A failure, unless this is the repeat of a request that succeeded before."""
        stored = self._find_replay(replay) if replay is not None else None
        if stored is not None:
            return await self._replayed(stored.ts, stored.result)
        await self.wait_durable(proposal.snapshot_ts)
        await self._reports.keep(self._reports.ended(call, start, finished))
        return outcome_of(finished, proposal.snapshot_ts)

    def _find_replay(self, replay: Replay) -> StoredReplay | None:
        self._reader.begin()
        try:
            return self._reader.find_replay(replay.session_id, replay.request_id)
        finally:
            self._reader.end()

    async def _replayed(self, ts: int, result: bytes) -> Outcome:
        await self.wait_durable(ts)
        recorded = msgspec.msgpack.decode(result, type=_Recorded)
        return Success(recorded.value, recorded.log_lines, ts)

    # Queries (`pyconvex.runtime.answering.queries.QueryRunner`)

    async def execute(
        self, call: FunctionCall, journal: str | None, *, again: bool = False
    ) -> Execution:
        """Run a query on the newest snapshot; `again` when somebody watches it already."""
        work = Work.RERUN if again else None
        began_ms = self._now_ms()
        try:
            start, finished = await self._run_current(call, journal, work)
        except IsolateGoneError as gone:
            return await self._lost(call, journal, gone, began_ms, again=again)
        return await self._execution(call, start, finished, again=again)

    async def execute_pinned(
        self, queries: Sequence[tuple[FunctionCall, str | None]], still_true: Callable[[], bool]
    ) -> list[Execution] | None:
        """Run queries on one snapshot, at which `still_true` was asked; None when it said no."""
        replaced = self._replaced
        async with self._commits.paused():
            if not still_true():
                return None
            runs = [
                self._submit(call, journal=journal, announce=True, work=Work.RERUN)
                for call, journal in queries
            ]
            opened = [run.opened for run in runs if run.opened is not None]
            await asyncio.wait([*opened])
        ends = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
        if any(isinstance(end, messages.Finished) and end.stale for end in ends):
            await _swap(replaced)
            return None
        starts = [run.start for run in runs]
        return [
            await self._pinned(*query, start, end)
            for query, start, end in zip(queries, starts, ends, strict=True)
        ]

    async def _pinned(
        self,
        call: FunctionCall,
        journal: str | None,
        start: messages.Start,
        end: messages.Finished | BaseException,
    ) -> Execution:
        match end:
            case messages.Finished():
                return await self._execution(call, start, end, again=True)
            case IsolateGoneError():
                return await self._lost(call, journal, end, start.now_ms, again=True)
        raise end

    def served(self, call: FunctionCall, execution: Execution) -> None:
        """A caller got a result that was there already."""
        # Nobody waits: what is told to last was told by the execution itself.
        outcome = execution.result.outcome
        error = outcome.message if isinstance(outcome, Failure) else ""
        self._reports.tell(self._reports.served(call, execution, error))

    async def _run_current(
        self, call: FunctionCall, journal: str | None = None, work: Work | None = None
    ) -> tuple[messages.Start, messages.Finished]:
        """Run a query or mutation with the code that its snapshot says is in force.

        Between a deploy's commit and the swap of isolates, the old ones find themselves too old.
        """
        for _ in range(MAX_STALE_RUNS):
            replaced = self._replaced
            run = self._submit(call, journal=journal, work=work)
            finished = await run.result()
            if not finished.stale:
                return run.start, finished
            await _swap(replaced)
        raise _busy_deploying()

    async def _execution(
        self,
        call: FunctionCall,
        start: messages.Start,
        finished: messages.Finished,
        *,
        again: bool,
    ) -> Execution:
        proposal = Proposal.decode(finished.proposal)
        reason = query_reason(call, again=again)
        record = self._reports.ended(call, start, finished, reason=reason)
        if record.tells_something:
            # Nothing leaves that was computed at what a power cut could undo, reports neither.
            await self.wait_durable(proposal.snapshot_ts)
        await self._reports.keep(record)
        return Execution(
            QueryResult(
                outcome_of(finished, proposal.snapshot_ts), finished.journal, call.request_id
            ),
            proposal.reads,
            proposal.snapshot_ts,
            finished.observed_identity,
            self._steady_s() + TIMED_RESULT_AGE_S if finished.observed_time else math.inf,
            offers_of(finished.report),
            finished.report.user_id,
            finished.report.session_id,
        )

    async def _lost(
        self,
        call: FunctionCall,
        journal: str | None,
        gone: IsolateGoneError,
        began_ms: float,
        *,
        again: bool,
    ) -> Execution:
        """A query whose isolate is gone: all that is known to have been read is its code."""

        def look(transaction: Transaction) -> tuple[int, bytes]:
            transaction.namespace(call.component).component_version()
            return transaction.head.ts, transaction.read_set().encode()

        ts, reads = self._system.read(look)
        reason = query_reason(call, again=again)
        record = self._reports.lost(call, str(gone), began_ms=began_ms, reason=reason)
        await self._reports.keep(record)
        result = QueryResult(Failure(str(gone)), journal, call.request_id)
        return Execution(result, reads, ts, True)

    # Actions (`pyconvex.runtime.answering.actions.ActionHost`)

    def submit_action(self, call: FunctionCall, on_call: OnCall) -> Run:
        """Start an action."""
        return self._submit(call, on_call=on_call)

    async def run_any(self, call: FunctionCall) -> Outcome:
        """Run a function of whatever kind."""
        match call.kind:
            case "query":
                return await self.run_query(call)
            case "mutation":
                return await self.run_mutation(call)
            case _:
                return await self.run_action(call)

    # Isolates

    def _submit(
        self,
        call: FunctionCall,
        *,
        journal: str | None = None,
        announce: bool = False,
        work: Work | None = None,
        on_call: OnCall | None = None,
    ) -> Run:
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
            execution_id=self._reports.new_execution_id(),
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
        run = self._pool.submit(start, work=work, client=call.client, on_call=on_call)
        self.concurrency.count(run)
        return run


#: Origins of calls that nobody waits for.
_SCHEDULED = ("cron", "scheduler")
_KINDS: dict[str, FunctionKind] = {"Query": "query", "Mutation": "mutation", "Action": "action"}


def _attempt(call: FunctionCall, number: int) -> FunctionCall:
    return call if number == 0 else msgspec.structs.replace(call, attempt=call.attempt + number)


async def _swap(replaced: asyncio.Event) -> None:
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


def _with_replay(proposal: Proposal, replay: Replay, finished: messages.Finished) -> Proposal:
    assert finished.value is not None
    recorded = _Recorded(finished.value, finished.log_lines)
    record = ReplayRecord(replay.session_id, replay.request_id, msgspec.msgpack.encode(recorded))
    return msgspec.structs.replace(proposal, replay=record)

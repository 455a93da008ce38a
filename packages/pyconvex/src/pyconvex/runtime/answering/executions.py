"""Executions of queries, for whoever watches or asks.

Owns how one becomes a result with what it read, on the newest snapshot or with others on one. Never
keeps a result. One invariant: nothing leaves that was computed at what a power cut could undo.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

from pyconvex.database import Transaction
from pyconvex.runtime.answering.cache import TIMED_RESULT_AGE_S, Execution
from pyconvex.runtime.answering.in_force import AppInForce, until_swapped
from pyconvex.runtime.answering.outcome import outcome_of, refuse_stopped
from pyconvex.runtime.answering.reports import RunReports, id_of_error, offers_of, query_reason
from pyconvex.runtime.calls import Failure, FunctionCall, QueryResult
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.isolates.runs import IsolateGoneError, Work
from pyconvex.runtime.processes import messages
from pyconvex.storage import Proposal, Store


class Executions:
    """Runs the queries of one host (`pyconvex.runtime.answering.queries.QueryRunner`)."""

    def __init__(
        self,
        app: AppInForce,
        store: Store,
        commits: CommitQueue,
        system: SystemTransactions,
        reports: RunReports,
        *,
        now_ms: Callable[[], float],
        steady_s: Callable[[], float],
    ) -> None:
        self._app = app
        self._store = store
        self._commits = commits
        self._system = system
        self._reports = reports
        self._now_ms = now_ms
        self._steady_s = steady_s

    @property
    def visible_ts(self) -> int:
        """The newest commit."""
        return self._store.visible_ts

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` is durable."""
        await self._store.wait_durable(ts)

    async def execute(
        self, call: FunctionCall, journal: str | None, *, again: bool = False
    ) -> Execution:
        """Run a query on the newest snapshot; `again` when somebody watches it already."""
        work = Work.RERUN if again else None
        began_ms = self._now_ms()
        try:
            start, finished = await self._app.run_current(call, journal, work)
        except IsolateGoneError as gone:
            return await self._lost(call, journal, gone, began_ms, again=again)
        return await self._execution(call, start, finished, again=again)

    async def execute_pinned(
        self, queries: Sequence[tuple[FunctionCall, str | None]], still_true: Callable[[], bool]
    ) -> list[Execution] | None:
        """Run queries on one snapshot, at which `still_true` was asked; None when it said no."""
        replaced = self._app.replaced
        async with self._commits.paused():
            if not still_true():
                return None
            runs = [
                self._app.submit(call, journal=journal, announce=True, work=Work.RERUN)
                for call, journal in queries
            ]
            opened = [run.opened for run in runs if run.opened is not None]
            await asyncio.wait([*opened])
        ends = await asyncio.gather(*(run.result() for run in runs), return_exceptions=True)
        if any(isinstance(end, messages.Finished) and end.stale for end in ends):
            await until_swapped(replaced)
            return None
        starts = [run.start for run in runs]
        return [
            await self._pinned(*query, start, end)
            for query, start, end in zip(queries, starts, ends, strict=True)
        ]

    def served(self, call: FunctionCall, execution: Execution) -> None:
        """A caller got a result that was there already."""
        # Nobody waits: what is told to last was told by the execution itself.
        outcome = execution.result.outcome
        error = outcome.message if isinstance(outcome, Failure) else ""
        self._reports.tell(self._reports.served(call, execution, error))

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
        record = self._reports.lost(call, gone, began_ms=began_ms, reason=reason)
        await self._reports.keep(record)
        refuse_stopped(gone)
        lines = tuple(line.as_client() for line in gone.report.lines)
        failure = Failure(str(gone), None, lines, id_of_error(record.report))
        return Execution(QueryResult(failure, journal, call.request_id), reads, ts, True)

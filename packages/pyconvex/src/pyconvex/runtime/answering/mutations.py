"""Mutations: run, commit, run again on conflict.

Owns that loop and the repeats of requests that have succeeded before. Never decides whether a
commit conflicts. One invariant: nothing is returned before it is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import nullcontext

import msgspec

from pyconvex.database import Committed, Conflict
from pyconvex.runtime.answering.contention import Contention
from pyconvex.runtime.answering.in_force import AppInForce
from pyconvex.runtime.answering.outcome import outcome_of, outcome_of_lost
from pyconvex.runtime.answering.reports import RunReports
from pyconvex.runtime.calls import FunctionCall, HostError, Outcome, Replay, Success
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.runtime.isolates.runs import IsolateGoneError
from pyconvex.runtime.processes import messages
from pyconvex.storage import (
    Proposal,
    Reader,
    Rejected,
    Replayed,
    StorageFailure,
    Store,
    StoredReplay,
)
from pyconvex.storage import Replay as ReplayRecord

#: Runs of one mutation before its caller is told of the conflict. From the second on it runs alone
#: among those that conflict over the same, so that more tries seldom help.
MAX_MUTATION_RUNS = 20

_log = logging.getLogger(__name__)


class _Recorded(msgspec.Struct, array_like=True, frozen=True):
    """A mutation's success as it is kept for a repeat."""

    value: bytes
    log_lines: tuple[str, ...]


class Mutations:
    """The mutations of one host. `on_appended` is told of commits that append to a queue."""

    def __init__(
        self,
        app: AppInForce,
        store: Store,
        reader: Reader,
        commits: CommitQueue,
        reports: RunReports,
        *,
        on_appended: Callable[[], None],
        now_ms: Callable[[], float],
    ) -> None:
        self._app = app
        self._store = store
        self._reader = reader
        self._commits = commits
        self._reports = reports
        self._on_appended = on_appended
        self._now_ms = now_ms
        self._contention = Contention()
        self._under_way: set[asyncio.Task[Outcome]] = set()

    async def run(
        self,
        call: FunctionCall,
        replay: Replay | None,
        on_visible: Callable[[int], None] | None,
    ) -> Outcome:
        """Run one until it commits, fails or is out of retries, also when its caller leaves; see
        `pyconvex.runtime.calls.Host`.
        """
        task = asyncio.create_task(self._run(call, replay, on_visible))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except StorageFailure as failure:
            _log.error("%s did not commit. %s", call.path, failure)
            raise HostError(503, "StorageFailure", str(failure)) from failure

    async def drain(self) -> None:
        """Return once none is under way, also of those whose callers have left."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may have left

    async def _run(
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
                    start, finished = await self._app.run_current(_attempt(call, run))
                except IsolateGoneError as gone:
                    return await outcome_of_lost(self._reports, call, gone, began_ms)
                proposal = Proposal.decode(finished.proposal)
                if finished.value is None:
                    return await self._failed(call, start, finished, proposal, replay)
                if replay is not None:
                    proposal = _with_replay(proposal, replay, finished)
                outcome = await self._commits.submit(proposal)
            match outcome:
                case Committed():
                    if on_visible is not None:
                        on_visible(outcome.ts)
                    if run == 0:
                        if guessed is None:
                            self._contention.passed(call)
                        else:
                            self._contention.stood(call, guessed, proposal.reads)
                    await self._store.wait_durable(outcome.ts)
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

    async def _failed(
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
        await self._store.wait_durable(proposal.snapshot_ts)
        await self._reports.keep(self._reports.ended(call, start, finished))
        return outcome_of(finished, proposal.snapshot_ts)

    def _find_replay(self, replay: Replay) -> StoredReplay | None:
        self._reader.begin()
        try:
            return self._reader.find_replay(replay.session_id, replay.request_id)
        finally:
            self._reader.end()

    async def _replayed(self, ts: int, result: bytes) -> Outcome:
        await self._store.wait_durable(ts)
        recorded = msgspec.msgpack.decode(result, type=_Recorded)
        return Success(recorded.value, recorded.log_lines, ts)


def _attempt(call: FunctionCall, number: int) -> FunctionCall:
    return call if number == 0 else msgspec.structs.replace(call, attempt=call.attempt + number)


def _with_replay(proposal: Proposal, replay: Replay, finished: messages.Finished) -> Proposal:
    assert finished.value is not None
    recorded = _Recorded(finished.value, finished.log_lines)
    record = ReplayRecord(replay.session_id, replay.request_id, msgspec.msgpack.encode(recorded))
    return msgspec.structs.replace(proposal, replay=record)

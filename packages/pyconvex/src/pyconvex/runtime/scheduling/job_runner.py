"""Running scheduled functions.

Owns what happens to one job from its turn to its end. Never decides when its turn is. One
invariant: a mutation's end commits with its writes; an action's begin is durable before it starts,
so that it is never started twice, unless its author asked for retries.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pyconvex.database import Transaction, jobs
from pyconvex.database.jobs import Job
from pyconvex.identity import ANONYMOUS
from pyconvex.runlog.traces import of_schedule
from pyconvex.runtime.calls import Failure, FunctionCall, Host, HostError, JobRef, Outcome, Success
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.scheduling.agenda import full_jitter_s

#: Pauses before a mutation that keeps conflicting runs again, in seconds (Convex's).
FIRST_CONFLICT_PAUSE_S = 0.1
LAST_CONFLICT_PAUSE_S = 60.0
#: Pauses before a job runs again that was lost with its process, in seconds (Convex's).
FIRST_LOSS_PAUSE_S = 0.5
LAST_LOSS_PAUSE_S = 7200.0
#: Jobs that one transaction brings to an end after a crash.
_RECOVERED_AT_ONCE = 100

_log = logging.getLogger(__name__)

#: Told of each function that failed for good.
OnFailure = Callable[[FunctionCall, Failure], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What running something later takes; time and randomness are arguments."""

    host: Host
    system: SystemTransactions
    now_ms: Callable[[], float]
    random: random.Random
    pause: Callable[[float], Awaitable[None]]
    on_failure: OnFailure

    def new_request_id(self) -> str:
        """A name for what one run logs and reports."""
        return f"{self.random.getrandbits(64):016x}"


class JobRunner:
    """Runs the jobs of all components."""

    def __init__(self, means: Means) -> None:
        self._host = means.host
        self._system = means.system
        self._means = means

    def rows(self, tx: Transaction, limit: int) -> list[Job]:
        """The first jobs of the queue."""
        return jobs.pending(tx, limit)

    async def run(self, job: Job) -> None:
        """Run a job that is due."""
        if job.kind == "action":
            await self._run_action(job)
        else:
            await self._run_mutation(job)

    async def recover(self) -> None:
        """End the actions that were under way when the server before this one ended."""
        while lost := self._system.read(lambda tx: jobs.running(tx, _RECOVERED_AT_ONCE)):
            for job in lost:
                call = self._call(job, b"{}")
                await self._action_ended(job, call, Failure("", lost=True), job.attempts)

    async def _run_mutation(self, job: Job) -> None:
        arguments = self._system.read(lambda tx: jobs.arguments(tx, job.home, job.id))
        call = self._call(job, arguments)
        outcome = await self._until_decided(call)
        if isinstance(outcome, Success):
            return  # its end was part of its transaction
        if outcome.lost:
            pause_s = full_jitter_s(
                job.losses, FIRST_LOSS_PAUSE_S, LAST_LOSS_PAUSE_S, self._means.random
            )
            _log.warning("Mutation %s was lost and runs again: %s", job.path, outcome.message)
            await self._put_off(job, pause_s, lost=True)
        else:
            await self._fail(job, call, outcome)

    async def _until_decided(self, call: FunctionCall) -> Outcome:
        """Run a mutation again and again until it commits or fails by itself."""
        for attempt in itertools.count():
            try:
                return await self._host.run_mutation(call)
            except HostError:
                await self._means.pause(
                    full_jitter_s(
                        attempt, FIRST_CONFLICT_PAUSE_S, LAST_CONFLICT_PAUSE_S, self._means.random
                    )
                )
        raise AssertionError("unreachable")

    async def _run_action(self, job: Job) -> None:
        def begin(tx: Transaction) -> bytes | None:
            begun = jobs.begin(tx, job.home, job.id)
            return jobs.arguments(tx, job.home, job.id) if begun else None

        arguments = await self._system.write(begin)
        if arguments is None:
            return
        call = self._call(job, arguments)
        try:
            outcome = await self._host.run_action(call)
        except HostError as error:
            if error.status == 429:  # it waits for a place without limit, and has not started
                await self._put_off(job, FIRST_LOSS_PAUSE_S)
                return
            outcome = Failure("", lost=True)
        await self._action_ended(job, call, outcome, job.attempts + 1)

    async def _action_ended(
        self, job: Job, call: FunctionCall, outcome: Outcome, attempts: int
    ) -> None:
        if isinstance(outcome, Success):
            now_ms = self._means.now_ms()
            await self._system.write(lambda tx: jobs.succeed(tx, job.home, job.id, now_ms))
        elif job.retry is not None and attempts < job.retry.max_attempts:
            pause_s = full_jitter_s(
                attempts - 1,
                job.retry.initial_backoff_ms / 1000,
                job.retry.max_backoff_ms / 1000,
                self._means.random,
            )
            await self._put_off(job, pause_s)
        else:
            failure = Failure(jobs.TRANSIENT_ERROR) if outcome.lost else outcome
            await self._fail(job, call, failure)

    async def _put_off(self, job: Job, pause_s: float, *, lost: bool = False) -> None:
        due_ms = self._means.now_ms() + pause_s * 1000
        await self._system.write(lambda tx: jobs.put_off(tx, job.home, job.id, due_ms, lost=lost))

    async def _fail(self, job: Job, call: FunctionCall, failure: Failure) -> None:
        now_ms = self._means.now_ms()
        if await self._system.write(
            lambda tx: jobs.fail(tx, job.home, job.id, failure.message, now_ms)
        ):
            self._means.on_failure(call, failure)

    def _call(self, job: Job, arguments: bytes) -> FunctionCall:
        return FunctionCall(
            kind="action" if job.kind == "action" else "mutation",
            path=job.path,
            args=arguments,
            identity=ANONYMOUS,
            request_id=self._means.new_request_id(),
            origin="scheduler",
            component=job.component,
            public_only=False,
            job=JobRef("job", job.home, job.id, itself=True),
            trace=of_schedule(job.trace),
            attempt=max(job.attempts, job.losses),
        )

"""Running cron jobs.

Owns what happens to one cron job from its time to the next. Never decides when its time is. One
invariant: for each time of a job its mutation takes effect once, its action at most once.
"""

from __future__ import annotations

import itertools

from pyconvex.database import Transaction
from pyconvex.database.jobs import TRANSIENT_ERROR
from pyconvex.identity import ANONYMOUS
from pyconvex.runtime.calls import Failure, FunctionCall, HostError, JobRef, Outcome, Success
from pyconvex.runtime.scheduling import cron_jobs
from pyconvex.runtime.scheduling.agenda import full_jitter_s
from pyconvex.runtime.scheduling.cron_jobs import Cron
from pyconvex.runtime.scheduling.job_runner import Means

#: Pauses before a mutation that conflicts or is lost with its process runs again, in seconds
#: (Convex's).
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 15.0
#: Jobs that one look brings to an end after a crash.
_RECOVERED_AT_ONCE = 100


class CronRunner:
    """Runs the cron jobs of all components."""

    def __init__(self, means: Means) -> None:
        self._host = means.host
        self._system = means.system
        self._means = means

    def rows(self, tx: Transaction, limit: int) -> list[Cron]:
        """The cron jobs that are due first."""
        return cron_jobs.waiting(tx, limit)

    async def run(self, cron: Cron) -> None:
        """Run a cron job that is due, and let it move on."""
        call = self._call(cron)
        if cron.kind == "action":
            if not await self._system.write(lambda tx: cron_jobs.begin(tx, cron.id)):
                return
            await self._ended(cron, call, await self._run_action(call))
            return
        outcome = await self._until_decided(call)
        if isinstance(outcome, Failure):

            def end(tx: Transaction) -> None:
                if cron_jobs.begin(tx, cron.id):
                    self._end(tx, cron, outcome)

            await self._system.write(end)
            self._means.on_failure(call, outcome)

    async def recover(self) -> None:
        """End the actions that were under way when the server before this one ended."""
        while lost := self._system.read(lambda tx: cron_jobs.running(tx, _RECOVERED_AT_ONCE)):
            for cron in lost:
                await self._ended(cron, self._call(cron), Failure(TRANSIENT_ERROR))

    async def _run_action(self, call: FunctionCall) -> Outcome:
        try:
            outcome = await self._host.run_action(call)
        except HostError:
            return Failure(TRANSIENT_ERROR)
        lost = isinstance(outcome, Failure) and outcome.lost
        return Failure(TRANSIENT_ERROR) if lost else outcome

    async def _until_decided(self, call: FunctionCall) -> Outcome:
        """Run a mutation again and again until it commits or fails by itself."""
        for attempt in itertools.count():
            try:
                outcome = await self._host.run_mutation(call)
            except HostError:
                pass
            else:
                if isinstance(outcome, Success) or not outcome.lost:
                    return outcome
            await self._means.pause(
                full_jitter_s(attempt, FIRST_PAUSE_S, LAST_PAUSE_S, self._means.random)
            )
        raise AssertionError("unreachable")

    async def _ended(self, cron: Cron, call: FunctionCall, outcome: Outcome) -> None:
        await self._system.write(lambda tx: self._end(tx, cron, outcome))
        if isinstance(outcome, Failure):
            self._means.on_failure(call, outcome)

    def _end(self, tx: Transaction, cron: Cron, outcome: Outcome) -> None:
        if isinstance(outcome, Success):
            status = cron_jobs.succeeded(outcome.value)
        else:
            status = cron_jobs.failed(outcome.message)
        cron_jobs.end(tx, cron.id, status, outcome.log_lines, self._means.now_ms())

    def _call(self, cron: Cron) -> FunctionCall:
        return FunctionCall(
            kind="action" if cron.kind == "action" else "mutation",
            path=cron.path,
            args=cron.arguments,
            identity=ANONYMOUS,
            request_id=self._means.new_request_id(),
            origin="cron",
            component=cron.component,
            public_only=False,
            job=JobRef("cron", "", cron.id, itself=True),
        )

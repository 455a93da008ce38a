"""One run of a query or mutation, inside an isolate.

Owns the run from its first read to its proposal and its report. Never commits; the server does. One
invariant: a run's result depends only on its arguments, its seed and clock, and what its read set
covers.
"""

from __future__ import annotations

import asyncio
from time import perf_counter, thread_time

from pyconvex.database import Catalog
from pyconvex.identity import Identity
from pyconvex.runlog import Report, Usage
from pyconvex.runtime import purity, system_queries
from pyconvex.runtime.app.calling import find_for_client, read_arguments
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BlackBox
from pyconvex.runtime.purity.loop import new_loop
from pyconvex.runtime.running.errors import describe_error, encode_exception, is_callers_fault
from pyconvex.runtime.running.frame import Frame, SystemFrame
from pyconvex.runtime.running.output import CURRENT_LOG
from pyconvex.runtime.running.state import RunState
from pyconvex.runtime.scheduling import job_run
from pyconvex.storage import Proposal, Reader


class PureRun:
    """Runs one query or mutation over one snapshot. Make one for each run.

    With `box`, what it tells is written down there as it comes, until it is `over`.
    """

    def __init__(
        self,
        image: AppImage,
        reader: Reader,
        catalog: Catalog,
        start: messages.Start,
        who: Identity,
        box: BlackBox | None = None,
    ) -> None:
        self._start = start
        self._state = RunState(image, reader, catalog, start, who, box)
        #: What the function raised; of use only in this process.
        self.raised: BaseException | None = None

    def execute(self) -> messages.Finished:
        """Run the function; whatever it raises becomes part of what is returned."""
        state = self._state
        token = CURRENT_LOG.set(state.log)
        value = data = None
        error = ""
        began, cpu_began = perf_counter(), thread_time()
        purity.begin(state.active)
        try:
            value = new_loop().run(self._main())
        except (Exception, asyncio.CancelledError) as raised:
            self.raised = raised
            error, data = describe_error(raised)
        finally:
            purity.end()
            CURRENT_LOG.reset(token)
        for code, text in state.transaction.warnings():
            state.log.warn_of_limit(code, text)
        wall_ms, cpu_ms = (perf_counter() - began) * 1000, (thread_time() - cpu_began) * 1000
        finished = self._finished(value, error, data, wall_ms, cpu_ms)
        state.over()
        return finished

    def told_so_far(self) -> Report:
        """The report of a run that ended its process, were it not that of others as well."""
        return self._report(0.0, 0.0)

    def over(self) -> None:
        """The server has what the run ended with."""
        if self._state.notes is not None:
            self._state.notes.over()

    async def _main(self) -> bytes:
        start, state = self._start, self._state
        if system_queries.is_system(start.path) and state.person.is_admin:
            return await self._system_query()
        # Before anything is looked up: also "there is no such function" is true for this code only.
        namespace = state.tables_of(start.component)
        job = start.job if start.job is not None and start.job.itself else None
        if job is not None and not job_run.begin(state.transaction, job):
            return job_run.NOTHING
        callee = find_for_client(
            state.image, start.component, start.path, start.kind, public_only=start.public_only
        )
        frame = Frame(state, callee, namespace, 1, state.log)
        result = await frame.run(read_arguments(callee, start.args))
        if job is not None:
            job_run.succeed(state.transaction, job, result, state.log.as_list())
        return result

    async def _system_query(self) -> bytes:
        """Run one of the host's own queries: with whatever app in force, or none."""
        start, state = self._start, self._state
        state.person.observed = True  # nobody else may get this from a cache
        callee = system_queries.find(start.component, start.path, start.kind)
        namespace = state.transaction.namespace(start.component, system=True)
        frame = SystemFrame(state, callee, namespace, 1, state.log)
        return await frame.run(read_arguments(callee, start.args))

    def _finished(
        self, value: bytes | None, error: str, data: bytes | None, wall_ms: float, cpu_ms: float
    ) -> messages.Finished:
        state = self._state
        return messages.Finished(
            self._start.run_id,
            value,
            error,
            data,
            self._report(wall_ms, cpu_ms),
            state.person.observed,
            self._proposal(failed=value is None).encode(),
            state.stale,
            # A run that failed has decided nothing.
            self._start.journal if value is None else state.pager.journal,
            state.active.observed_time,
        )

    def _proposal(self, *, failed: bool) -> Proposal:
        """What to commit: nothing of a run that failed, whose reads still tell when to try
        again.
        """
        proposal = self._state.transaction.proposal(source=self._start.path)
        if not failed:
            return proposal
        return Proposal(snapshot_ts=proposal.snapshot_ts, reads=proposal.reads)

    def _report(self, wall_ms: float, cpu_ms: float) -> Report:
        state = self._state
        used = state.transaction.usage
        return Report(
            Usage(
                used.documents_read,
                used.bytes_read,
                used.documents_written,
                used.bytes_written,
                wall_ms,
                cpu_ms,
            ),
            tuple(state.log.lines()),
            tuple(state.items.items),
            encode_exception(state.describer, self.raised) if self.raised is not None else b"",
            state.user_id(),
            state.items.dropped,
            is_callers_fault(self.raised),
            state.person.session_id,
        )

"""From how a run ended to its record.

Owns what is written down of each execution: of the one whose outcome is returned, of attempts that
met a conflict, of results that were there already. Never keeps a record itself. One invariant: the
end of an execution has one record, and only that of the returned outcome reports an error.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from pyconvex.database import Conflict
from pyconvex.identity import Admin, Identity, User
from pyconvex.runlog import ExceptionReport, Occ, Report, RunRecord, Usage
from pyconvex.runlog.exceptions import error_id
from pyconvex.runlog.report import Item, encode_value
from pyconvex.runtime.calls import FunctionCall
from pyconvex.runtime.isolates.runs import IsolateGoneError, Run, RunStoppedError
from pyconvex.runtime.processes import messages
from pyconvex.runtime.system_queries import is_system


class Keeper(Protocol):
    """What takes records."""

    def keep(self, record: RunRecord) -> Awaitable[None] | None:
        """Take a record; what is returned is awaited before the outcome leaves the server."""


class Served(Protocol):
    """A result that was there already (`pyconvex.runtime.answering.cache.Execution`)."""

    @property
    def offers(self) -> tuple[Item, ...]:
        """What each further caller's report gets."""

    @property
    def user_id(self) -> str | None:
        """The person that the result belongs to."""

    @property
    def session_id(self) -> str | None:
        """The session that the function named."""


class KeepsNothing:
    """For hosts without a run log."""

    def keep(self, record: RunRecord) -> None:
        """Forget it."""


class ExecutionIds:
    """Names for executions: UUIDs whose first part is random and made once, whose last part counts.

    >>> new_id = ExecutionIds(uuid.UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7"))
    >>> new_id(), new_id()
    ('7c9e6679-7425-40de-944b-000000000001', '7c9e6679-7425-40de-944b-000000000002')
    """

    def __init__(self, seed: uuid.UUID | None = None) -> None:
        # A random UUID an execution would cost more than all the rest of its record.
        self._prefix = str(seed or uuid.uuid4())[:24]
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        return f"{self._prefix}{next(self._numbers):012x}"


class RunReports:
    """Makes the records of one host's runs and gives them to its keeper."""

    def __init__(
        self,
        keeper: Keeper,
        now_ms: Callable[[], float],
        new_execution_id: Callable[[], str] | None = None,
    ) -> None:
        self._keeper = keeper
        self._now_ms = now_ms
        self.new_execution_id = new_execution_id or ExecutionIds()

    def ended(
        self,
        call: FunctionCall,
        start: messages.Start,
        finished: messages.Finished,
        *,
        reason: str | None = None,
        told: int = 0,
        retries: int = 0,
        status: int = 0,
    ) -> RunRecord:
        """The record of a run whose outcome is returned."""
        return self._record(
            call,
            start.execution_id,
            start.now_ms,
            reason=reason,
            error=finished.error if finished.value is None else "",
            result_bytes=0 if finished.value is None else len(finished.value),
            report=_of_session(finished.report, call),
            told=told,
            retries=retries,
            status=status,
        )

    def going_on(self, call: FunctionCall, run: Run, told: messages.Told) -> RunRecord:
        """The record of what an action tells while it runs."""
        return self._record(
            call,
            run.start.execution_id,
            run.start.now_ms,
            going_on=True,
            told=run.told_count,
            report=Report(
                lines=told.lines,
                items=told.items,
                user_id=told.user_id,
                session_id=told.session_id,
            ),
        )

    def conflicted(
        self,
        call: FunctionCall,
        start: messages.Start,
        finished: messages.Finished,
        conflict: Conflict,
        *,
        retries: int,
        will_retry: bool,
    ) -> RunRecord:
        """The record of an attempt that returned and could not commit.

        Its lines are kept and its metadata is not: of several attempts one counts.
        """
        occ = Occ(
            table=conflict.table or "",
            document_id=conflict.document or "",
            write_source=conflict.source or "",
            retry_count=retries,
            component=conflict.component,
        )
        report = finished.report
        exception = b""
        if not will_retry:
            exception = _described(
                start.execution_id,
                "OptimisticConcurrencyControlFailure",
                conflict.message(start.path),
            )
        return msgspec.structs.replace(
            self.ended(call, start, finished, retries=retries),
            error=conflict.message(start.path),
            occ=occ,
            will_retry=will_retry,
            report=Report(
                report.usage,
                report.lines,
                exception=exception,
                user_id=report.user_id,
                session_id=report.session_id,
            ),
        )

    def lost(
        self,
        call: FunctionCall,
        gone: IsolateGoneError,
        *,
        began_ms: float,
        reason: str | None = None,
        told: int = 0,
    ) -> RunRecord:
        """The record of a run whose isolate ended before it did, with what it had told by then."""
        execution_id, why = gone.execution_id or self.new_execution_id(), str(gone)
        name = "FunctionTimedOut" if "timed out" in why else "FunctionProcessEnded"
        # That the server stops is no fault of the function's.
        stopped = isinstance(gone, RunStoppedError)
        left = gone.report
        return self._record(
            call,
            execution_id,
            began_ms,
            reason=reason,
            error=why,
            told=told,
            report=Report(
                Usage(wall_ms=self._now_ms() - began_ms),
                left.lines,
                left.items,
                b"" if stopped else _described(execution_id, name, why),
                left.user_id,
                session_id=left.session_id or call.session_id or None,
            ),
        )

    def served(self, call: FunctionCall, execution: Served, error: str = "") -> RunRecord:
        """The record of a caller that was given a result which was there already."""
        return self._record(
            call,
            self.new_execution_id(),
            reason=query_reason(call),
            cached=True,
            error=error,
            report=Report(
                items=execution.offers,
                user_id=execution.user_id,
                session_id=execution.session_id or call.session_id or None,
            ),
        )

    def _record(
        self,
        call: FunctionCall,
        execution_id: str,
        began_ms: float | None = None,
        *,
        reason: str | None = None,
        **how: Any,
    ) -> RunRecord:
        """A record of this call, and of how it went. It began now unless it is said when."""
        now_ms = self._now_ms()
        return RunRecord(
            ts_ms=now_ms,
            began_ms=now_ms if began_ms is None else began_ms,
            request_id=call.request_id,
            execution_id=execution_id,
            kind=call.kind,
            path=call.path,
            component=call.component,
            reason=reason or call.origin,
            parent=call.parent,
            trace_id=call.trace.trace_id,
            parent_span_id=call.trace.span_id,
            trace_user_id=call.trace.user_id,
            queue_length=call.queue_length,
            job_id=call.job_id,
            identity=_kind_of(call.identity),
            # An HTTP action's bodies don't pass this way.
            args_bytes=0 if call.kind == "http_action" else len(call.args),
            **how,
        )

    def tell(self, record: RunRecord) -> Awaitable[None] | None:
        """Give a record away; the outcome of its run has to wait for what is returned."""
        return None if is_system(record.path) else self._keeper.keep(record)

    async def keep(self, record: RunRecord) -> None:
        """Give a record away; returns when the outcome may leave the server."""
        if is_system(record.path):
            return  # what tools ask is nobody's run
        waiting = self._keeper.keep(record)
        if waiting is not None:
            await waiting


def _of_session(report: Report, call: FunctionCall) -> Report:
    """The report, of the session that the caller of a query named where the query named none."""
    if call.kind != "query" or report.session_id is not None or not call.session_id:
        return report
    return msgspec.structs.replace(report, session_id=call.session_id)


def query_reason(call: FunctionCall, *, again: bool = False) -> str:
    """Why a query runs, in Convex's words."""
    if again:
        return "dataChange"
    return "initialSubscription" if call.origin == "webSocket" else call.origin


def offers_of(report: Report) -> tuple[Item, ...]:
    """The metadata that each caller of a kept result is worth."""
    return tuple(item for item in report.items if item.each_caller) if report.items else ()


def id_of_error(report: Report) -> str:
    """The id of the error that left a function; "" when none did."""
    if not report.exception:
        return ""
    return msgspec.msgpack.decode(report.exception, type=_Identified).id


class _Identified(msgspec.Struct):
    id: str


def _described(execution_id: str, name: str, message: str) -> bytes:
    return encode_value(ExceptionReport(error_id(execution_id), name, message))


def _kind_of(who: Identity) -> str:
    if isinstance(who, Admin):
        return "admin"
    return "user" if isinstance(who, User) else "anonymous"

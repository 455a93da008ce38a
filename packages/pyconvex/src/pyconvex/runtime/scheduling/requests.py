"""Requests to schedule and to cancel, from either kind of run.

Owns the checks when a function is scheduled, the limits, and the one place where a request becomes
rows: in a mutation's own transaction, or in one that the server makes for an action. Never runs
what is scheduled. One invariant: what is scheduled by an action that was canceled never runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pyconvex.database import DatabaseError, Transaction, jobs
from pyconvex.functions import FunctionCallError, FunctionKind
from pyconvex.functions.scheduler import Retry, When
from pyconvex.runlog.traces import TraceContext, scheduled
from pyconvex.runtime.app.calling import Callee, Caller, bind_arguments, crossing
from pyconvex.runtime.calls import JobRef
from pyconvex.values import TableNumbers, codec

#: Functions that one mutation may schedule (Convex's limit).
MAX_SCHEDULED = 1_000
#: Bytes of arguments that one mutation may give them in all (Convex's limit).
MAX_ARGUMENT_BYTES = 16 * 1024 * 1024


class Schedule(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Have a function run later, as a job of the component `home`."""

    home: str
    component: str
    path: str
    kind: str
    arguments: bytes
    when_ms: float
    from_now: bool
    retry: jobs.RetryPolicy | None = None
    #: Where in which trace; see `pyconvex.runlog.traces.scheduled`.
    trace: str = ""


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Cancel a job of the component `home`."""

    home: str
    id: str


Request = Schedule | Cancel

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Request).decode


class Budget:
    """How much one mutation has scheduled. Never undone, as in Convex, also for calls that failed
    and were caught.
    """

    def __init__(self) -> None:
        self._functions = 0
        self._bytes = 0

    def count(self, request: Schedule) -> None:
        """Count one; raises `DatabaseError` beyond the limits."""
        self._functions += 1
        self._bytes += len(request.arguments)
        if self._functions > MAX_SCHEDULED:
            raise DatabaseError(
                "TooManyFunctionsScheduled",
                f"Too many functions scheduled by this mutation (limit: {MAX_SCHEDULED}). Schedule "
                "one function that schedules the others in smaller groups.",
            )
        if self._bytes > MAX_ARGUMENT_BYTES:
            raise DatabaseError(
                "ScheduledFunctionsArgumentsTooLarge",
                "The arguments of the functions scheduled by this mutation are too large in all "
                f"(limit: {MAX_ARGUMENT_BYTES} bytes). Store the data and pass its ids.",
            )


def request(
    caller: Caller,
    callee: Callee,
    when: When,
    arguments: Mapping[str, Any],
    retry: Retry | None,
    tables: TableNumbers,
    trace: TraceContext,
) -> Schedule:
    """A request, once the function is found to take these arguments.

    `tables` are those of the callee's component. Raises `FunctionCallError`.
    """
    if retry is not None and callee.function.kind is not FunctionKind.ACTION:
        raise FunctionCallError(
            f"'{callee.path}' is a mutation, which runs exactly once: schedule it without a retry."
        )
    value = crossing(callee, arguments)
    try:
        bind_arguments(callee, value, tables)
    except FunctionCallError as error:
        raise FunctionCallError(f"Can't schedule '{callee.path}': {error}") from None
    return Schedule(
        caller.component.path,
        callee.component.path,
        callee.path,
        callee.function.kind.value,
        codec.encode(value),
        when.value_ms,
        when.from_now,
        None if retry is None else _policy(retry),
        scheduled(trace),
    )


def apply(tx: Transaction, wanted: Request, job: JobRef | None) -> str:
    """Write what is wanted by a run that belongs to `job`; the job's id.

    Raises `FunctionCallError` and `DatabaseError`.
    """
    match wanted:
        case Schedule():
            due_ms = When(wanted.when_ms, wanted.from_now).resolve_ms(tx.now_ms)
            new = jobs.NewJob(
                wanted.component,
                wanted.path,
                wanted.kind,
                wanted.arguments,
                due_ms,
                wanted.retry,
                wanted.trace,
            )
            return jobs.schedule(tx, wanted.home, new, canceled=_was_canceled(tx, job))
        case Cancel(home=home, id=id):
            if job is not None and job.itself and (job.home, job.id) == (home, id):
                raise FunctionCallError(
                    "A scheduled mutation can't cancel itself. Raise an error to undo what it did "
                    "and have it marked as failed."
                )
            jobs.cancel(tx, home, id, tx.now_ms)
            return id


def _was_canceled(tx: Transaction, job: JobRef | None) -> bool:
    """Whether the run belongs to a job that somebody has canceled while it runs."""
    if job is None or job.kind != "job":
        return False
    return jobs.state(tx, job.home, job.id) == "canceled"


def _policy(retry: Retry) -> jobs.RetryPolicy:
    return jobs.RetryPolicy(
        retry.max_attempts, retry.initial_backoff_s * 1000, retry.max_backoff_s * 1000
    )

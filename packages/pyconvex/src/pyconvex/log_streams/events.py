"""Events as sinks get them, and making them of entries of the run log.

Owns the way from an entry to an event. Never reads the log and never sends. One invariant: an event
follows from its entry alone, so that an entry that is delivered again is the same event.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from pyconvex.log_streams import v2
from pyconvex.runlog import ExceptionReport, LogLine, RunRecord
from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.traces import trace_id_of


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One event: what Convex's streams carry, and beside it what those leave out.

    Streams may be given the same object, so what several of them send is encoded once.
    """

    #: In Convex's schema; `event.topic` names the topic.
    event: v2.Event
    #: The same at every attempt to deliver it, and no other event's: a UUID.
    id: str
    #: The line's, the run's or the host's own time, in milliseconds since 1970, with fractions.
    ts_ms: float
    #: What a line says, as it was printed: without quotes around it.
    text: str = ""
    request_id: str = ""
    #: 32 hexadecimal digits that all lines, errors and spans of a request share; "" for events of
    #: the host.
    trace_id: str = ""
    execution_id: str = ""
    #: Whose run it was, as `ctx.user_id` has it.
    user_id: str | None = None
    #: The session of the caller's analytics, as `ctx.session_id` has it.
    session_id: str | None = None
    #: The error, of the topic "exception".
    exception: ExceptionReport | None = None
    #: The run that it is of; None for events of the host.
    run: RunRecord | None = None

    @property
    def topic(self) -> str:
        """The topic's name on the wire."""
        return self.event.topic

    def json(self) -> bytes:
        """The event as Convex writes it.

        >>> event = v2.SchedulerStats(timestamp=1, lag_seconds=2, num_running_jobs=3)
        >>> StreamEvent(event=event, id="", ts_ms=1.0).json()
        b'{"topic":"scheduler_stats","timestamp":1,"lag_seconds":2,"num_running_jobs":3}'
        """
        kept = self.__dict__
        try:
            encoded: bytes = kept["_json"]
        except KeyError:
            encoded = kept["_json"] = v2.encode(self.event)
        return encoded

    def fields(self) -> dict[str, Any]:
        """The same as plain data."""
        made: dict[str, Any] = msgspec.to_builtins(self.event)
        return made


def verification(now_ms: float) -> StreamEvent:
    """What is sent to find out whether a stream's settings are right."""
    event = v2.Verification(timestamp=int(now_ms))
    return StreamEvent(event=event, id="00000000-0000-0000-0000-000000000000", ts_ms=now_ms)


def event_of(entry: RunEntry) -> StreamEvent | None:
    """The event of an entry; None for what is none, or is of another version."""
    run = entry.run
    match entry.kind:
        case "log" if isinstance(entry.value, LogLine):
            line = entry.value
            return _of_run(entry, _console(line, run), line.ts_ms, line.text)
        case "execution":
            return _of_run(entry, _execution(run), run.ts_ms)
        case "exception" if isinstance(entry.value, ExceptionReport):
            made = _exception(entry.value, run)
            return _of_run(entry, made, run.ts_ms, made.error_message, entry.value)
        case "convex.audit":
            audit = v2.CustomAudit(timestamp=int(run.ts_ms), body=entry.value)
            return _of_run(entry, audit, run.ts_ms)
        case _:
            return _of_host(entry)


def _of_run(
    entry: RunEntry,
    event: v2.Event,
    ts_ms: float,
    text: str = "",
    exception: ExceptionReport | None = None,
) -> StreamEvent:
    run = entry.run
    return StreamEvent(
        event=event,
        id=entry.id,
        ts_ms=ts_ms,
        text=text,
        request_id=run.request_id,
        trace_id=run.trace_id or _trace_id(run.request_id),
        execution_id=run.execution_id,
        user_id=run.report.user_id,
        session_id=run.report.session_id,
        exception=exception,
        run=run,
    )


#: All lines of a run follow each other.
_trace_id = lru_cache(maxsize=64)(trace_id_of)


def _of_host(entry: RunEntry) -> StreamEvent | None:
    try:
        event = msgspec.convert(entry.value, v2.Event)
    except msgspec.ValidationError:
        return None
    return StreamEvent(event=event, id=entry.id, ts_ms=entry.run.ts_ms)


def _function(run: RunRecord, path: str = "", component: str = "") -> v2.FunctionInfo:
    mutates = run.kind == "mutation"
    within = component if path else run.component
    return v2.FunctionInfo(
        path=path or run.path,
        type=run.kind,
        cached=run.cached if run.kind == "query" else None,
        request_id=run.request_id,
        mutation_queue_length=run.queue_length if mutates else None,
        mutation_retry_count=run.retries if mutates else None,
        component_path=within or msgspec.UNSET,
    )


def _console(line: LogLine, run: RunRecord) -> v2.Console:
    return v2.Console(
        timestamp=int(line.ts_ms),
        function=_function(run, line.path, line.component),
        log_level=line.level,
        message=line.shown(),
        is_truncated=line.truncated,
        system_code=line.code or None,
    )


def _execution(run: RunRecord) -> v2.FunctionExecution:
    used = run.report.usage
    # An attempt that is run again has not failed anybody.
    failed = run.failed and not run.will_retry
    bodies = run.kind != "http_action"
    return v2.FunctionExecution(
        timestamp=int(run.ts_ms),
        function=_function(run),
        execution_time_ms=max(0, round(run.ts_ms - run.began_ms)),
        user_execution_time_ms=None if run.cached else round(used.wall_ms),
        status="failure" if failed else "success",
        error_message=run.error if failed else None,
        occ_info=_occ(run),
        will_retry=run.will_retry,
        scheduler_info=v2.SchedulerInfo(job_id=run.job_id) if run.job_id else None,
        run_reason=run.reason,
        usage=v2.UsageInfo(
            database_read_bytes=used.bytes_read,
            database_write_bytes=used.bytes_written,
            database_io_read_bytes=used.bytes_read,
            database_io_write_bytes=used.bytes_written,
            database_read_documents=used.documents_read,
            database_write_documents=used.documents_written,
            function_args_bytes=run.args_bytes if bodies else None,
            function_returns_bytes=run.result_bytes if bodies and not failed else None,
        ),
    )


def _occ(run: RunRecord) -> v2.OccInfo | None:
    met = run.occ
    if met is None:
        return None
    return v2.OccInfo(
        table_name=met.table or None,
        document_id=met.document_id or None,
        write_source=met.write_source or None,
        component_path=met.component or None,
        retry_count=met.retry_count,
    )


def _exception(error: ExceptionReport, run: RunRecord) -> v2.Exception_:
    return v2.Exception_(
        timestamp=int(run.ts_ms),
        function=_function(run),
        error_message=run.error or f"{error.type}: {error.message}",
        run_reason=run.reason,
    )

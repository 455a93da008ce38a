"""One run as it is kept: what ran, for whom, how it ended, and what it reported.

Owns the record and its encoding. Never decides whether a run is kept. One invariant: records are
maps, and what a reader doesn't know it skips, so that old and new hosts read each other's logs.
"""

from __future__ import annotations

import msgspec

from pyconvex.runlog.report import Report
from pyconvex.runlog.traces import span_id_of, trace_id_of

#: The kind of records that are no run's: what the host tells of itself.
HOST = "host"


class Occ(msgspec.Struct, frozen=True, omit_defaults=True):
    """The conflict that an attempt of a mutation met."""

    table: str = ""
    document_id: str = ""
    #: The function whose commit changed what this attempt had read, where that is known.
    write_source: str = ""
    #: Attempts before this one.
    retry_count: int = 0
    #: Whose table it is; "" for the app's own.
    component: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution of a function.

    Most are the run whose outcome was returned. An attempt of a mutation that met a conflict has a
    record of its own with `occ`; `will_retry` says that another attempt follows, so whoever counts
    runs leaves it out. An action tells its lines, and its spans, while it runs, in records that
    are `going_on`. A
    query answered from a result that was there has one with `cached`, when
    that result has something to tell each caller.
    """

    #: When it ended, in milliseconds since 1970.
    ts_ms: float
    #: When it began.
    began_ms: float
    #: Shared by everything that one request of a client caused.
    request_id: str
    #: This execution's own.
    execution_id: str
    #: "query", "mutation", "action", "http_action" or `HOST`.
    kind: str
    path: str
    component: str = ""
    #: Why it ran, in Convex's words: "webSocket", "httpApi", "dataChange", "scheduler", …
    reason: str = ""
    #: The execution that called it: of an action.
    parent: str = ""
    #: The trace that the call came with; "" when its request's own holds (see `trace`).
    trace_id: str = ""
    #: The span that it was called in; "" at the top of a trace.
    parent_span_id: str = ""
    #: Whose trace it is, where the run itself knows nobody: see `person`.
    trace_user_id: str | None = None
    #: How it failed, for developers; "" when it returned.
    error: str = ""
    cached: bool = False
    #: True for what an action tells while it is running; its end has a record of its own.
    going_on: bool = False
    #: Lines and items that earlier records of this execution have told.
    told: int = 0
    will_retry: bool = False
    occ: Occ | None = None
    #: Attempts of the same call before this one.
    retries: int = 0
    #: Mutations of the same WebSocket session that stood in line before it; None for other calls.
    queue_length: int | None = None
    #: The HTTP status that an HTTP action answered with; 0 for other functions, and while it had
    #: not answered.
    status: int = 0
    #: The scheduled job that it was.
    job_id: str = ""
    #: "anonymous", "user" or "admin".
    identity: str = "anonymous"
    args_bytes: int = 0
    result_bytes: int = 0
    report: Report = Report()

    @property
    def failed(self) -> bool:
        """Whether the function did not return."""
        return self.error != ""

    @property
    def trace(self) -> str:
        """The id of the trace that the run belongs to."""
        return self.trace_id or trace_id_of(self.request_id)

    @property
    def person(self) -> str | None:
        """Whose run it was: whom it knows, else whose trace it is part of."""
        return self.trace_user_id if self.report.user_id is None else self.report.user_id

    @property
    def span_id(self) -> str:
        """The span that the run is."""
        return span_id_of(self.execution_id)

    @property
    def tells_something(self) -> bool:
        """Whether there is more to it than that a function returned."""
        report = self.report
        return bool(report.lines or report.items or self.error or self.occ)

    @property
    def is_a_look(self) -> bool:
        """Whether a lane asked its component something and nothing came of it: what is scheduled
        is never a query. Such looks come by the clock, whatever the app does.
        """
        return self.kind == "query" and self.reason == "scheduler" and not self.tells_something

    @property
    def must_last(self) -> bool:
        """Whether the response waits until this would survive a power cut."""
        report = self.report
        # Anybody can make calls that can't be: the disk does not wait for those.
        raised = bool(report.exception) and not report.callers_fault
        return raised or any(item.durable for item in report.items)


encode_record = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(RunRecord).decode

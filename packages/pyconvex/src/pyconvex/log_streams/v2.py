"""The events of log streams in Convex's schema, version 2.

Owns the fields of each topic. Never decides who gets one. One invariant: a field that has no value
is `null` and stands there all the same, but for `component_path`, which the app's own functions
leave out: receivers that were written for Convex read both.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from msgspec import UNSET, UnsetType

#: What a verification says.
CONNECTION_TEST = "Convex connection test"


class FunctionInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The function that an event is about."""

    #: `dir/file:fn`, or `POST /route` for an HTTP action.
    path: str
    #: "query", "mutation", "action" or "http_action".
    type: str
    #: Whether a query was answered from a result that was there; None for other functions.
    cached: bool | None = None
    #: Shared by all functions that one request of a client caused.
    request_id: str = ""
    #: Mutations of the same client session that stood in line with this one; mutations only.
    mutation_queue_length: int | None = None
    #: Attempts of the same mutation before this one.
    mutation_retry_count: int | None = None
    component_path: str | UnsetType = UNSET


class OccInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The conflict that an attempt of a mutation met."""

    table_name: str | None = None
    document_id: str | None = None
    write_source: str | None = None
    component_path: str | None = None
    retry_count: int | None = None


class SchedulerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The scheduled job that a run was."""

    job_id: str


class UsageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a run used. Of what this host doesn't have (file, vector and text storage) it is 0."""

    database_read_bytes: int = 0
    database_write_bytes: int = 0
    database_io_read_bytes: int = 0
    database_io_write_bytes: int = 0
    database_read_documents: int = 0
    database_write_documents: int = 0
    file_storage_read_bytes: int = 0
    file_storage_write_bytes: int = 0
    vector_storage_read_bytes: int = 0
    vector_storage_write_bytes: int = 0
    text_search_query_bytes: int = 0
    text_search_write_query_bytes: int = 0
    vector_search_query_bytes: int = 0
    vector_search_write_query_bytes: int = 0
    network_egress_bytes: int = 0
    memory_used_mb: int = 0
    audit_log_egress_bytes: int = 0
    #: Not measured here: actions share a process.
    action_memory_used_mb: int | None = None
    #: None for HTTP actions.
    function_args_bytes: int | None = None
    #: None for HTTP actions, and for what failed.
    function_returns_bytes: int | None = None


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """How many functions of one kind ran and waited, at most, within a minute."""

    num_running: int = 0
    num_queued: int = 0


class _Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="topic"):
    #: Milliseconds since 1970.
    timestamp: int

    @property
    def topic(self) -> str:
        """The topic's name on the wire."""
        return _TOPICS[type(self)]


class Verification(_Event, frozen=True, kw_only=True, tag="verification"):
    """Sent when a stream is set up, to find out whether its settings are right."""

    message: str = CONNECTION_TEST


class Console(_Event, frozen=True, kw_only=True, tag="console"):
    """A line that a function printed or logged; `timestamp` is the line's own time."""

    function: FunctionInfo
    #: DEBUG, INFO, LOG, WARN or ERROR.
    log_level: str
    #: The line as Convex's clients show it: a text stands in quotes.
    message: str
    is_truncated: bool
    #: Names a warning of the host's own.
    system_code: str | None = None


class FunctionExecution(_Event, frozen=True, kw_only=True, tag="function_execution"):
    """A function ran. One that `will_retry` counts for nobody: another attempt follows it."""

    function: FunctionInfo
    execution_time_ms: int
    #: What of it the function's own code took.
    user_execution_time_ms: int | None = None
    #: "success" or "failure".
    status: str = "success"
    error_message: str | None = None
    occ_info: OccInfo | None = None
    will_retry: bool = False
    scheduler_info: SchedulerInfo | None = None
    run_reason: str = ""
    usage: UsageInfo = UsageInfo()


class Exception_(_Event, frozen=True, kw_only=True, tag="exception"):
    """An error left a function. Goes to streams that report errors, never to those of logs."""

    function: FunctionInfo
    #: The error's type and text, then its frames, a line each.
    error_message: str
    run_reason: str = ""


class AuditLog(_Event, frozen=True, kw_only=True, tag="audit_log"):
    """An operator changed the deployment."""

    #: Such as "push_config" or "create_environment_variable".
    audit_log_action: str
    #: JSON as text.
    audit_log_metadata: str


class SchedulerStats(_Event, frozen=True, kw_only=True, tag="scheduler_stats"):
    """How the scheduler fares, while jobs run or are late."""

    lag_seconds: int
    num_running_jobs: int


class ScheduledJobLag(_Event, frozen=True, kw_only=True, tag="scheduled_job_lag"):
    """How late the next scheduled function is."""

    lag_seconds: int


class ConcurrencyStats(_Event, frozen=True, kw_only=True, tag="concurrency_stats"):
    """How many functions ran and waited within the minute that began at `timestamp`."""

    query: Concurrency = Concurrency()
    mutation: Concurrency = Concurrency()
    action: Concurrency = Concurrency()
    node_action: Concurrency = Concurrency()
    http_action: Concurrency = Concurrency()


class CurrentStorageUsage(_Event, frozen=True, kw_only=True, tag="current_storage_usage"):
    """What the deployment keeps."""

    total_document_size_bytes: int
    total_index_size_bytes: int
    total_vector_storage_bytes: int = 0
    total_text_storage_bytes: int = 0
    total_file_storage_bytes: int = 0
    total_backup_storage_bytes: int = 0
    total_system_table_document_size_bytes: dict[str, int] = {}


class LogStreamEgress(_Event, frozen=True, kw_only=True, tag="log_stream_egress"):
    """How many bytes all log streams together have sent within a minute."""

    egress_bytes: int


class CustomAudit(_Event, frozen=True, kw_only=True, tag="custom_audit"):
    """What a function gave to `ctx.audit`."""

    body: Any


class EventsDropped(_Event, frozen=True, kw_only=True, tag="log_stream_events_dropped"):
    """This stream will never get so many events: they were swept, or could not be written.

    A topic of this host; Convex drops silently.
    """

    dropped_events: int
    #: Since the stream was made.
    total_dropped_events: int
    reason: str


Event = (
    Verification
    | Console
    | FunctionExecution
    | Exception_
    | AuditLog
    | SchedulerStats
    | ScheduledJobLag
    | ConcurrencyStats
    | CurrentStorageUsage
    | LogStreamEgress
    | CustomAudit
    | EventsDropped
)

_TOPICS = {kind: str(kind.__struct_config__.tag) for kind in get_args(Event)}

encode = msgspec.json.Encoder().encode

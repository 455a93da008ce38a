"""What a log stream can be subscribed to, and which entries of the run log that is.

Owns the names of topics. Never makes an event. One invariant: a stream that names no topics gets
all there are and will be, but what functions audit, which has to be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyconvex.runlog.entries import AUDIT, EXECUTION, LOG
from pyconvex.runlog.entries import EXCEPTION as EXCEPTION_ENTRY

CONSOLE = "console"
FUNCTION_EXECUTION = "function_execution"
AUDIT_LOG = "audit_log"
SCHEDULER_STATS = "scheduler_stats"
SCHEDULED_JOB_LAG = "scheduled_job_lag"
CURRENT_STORAGE_USAGE = "current_storage_usage"
CONCURRENCY_STATS = "concurrency_stats"
LOG_STREAM_EGRESS = "log_stream_egress"
CUSTOM_AUDIT = "custom_audit"
#: Convex has it for what file storage sends, which is not here: it may be chosen, and stays empty.
STORAGE_API_BANDWIDTH = "storage_api_bandwidth"
#: Of streams that report errors, which choose nothing.
EXCEPTION = "exception"
#: Told to each stream whatever it chose.
EVENTS_DROPPED = "log_stream_events_dropped"

#: What can be chosen, in the order in which forms show it.
SUBSCRIBABLE = (
    CONSOLE,
    FUNCTION_EXECUTION,
    AUDIT_LOG,
    SCHEDULER_STATS,
    SCHEDULED_JOB_LAG,
    CURRENT_STORAGE_USAGE,
    CONCURRENCY_STATS,
    STORAGE_API_BANDWIDTH,
    LOG_STREAM_EGRESS,
    CUSTOM_AUDIT,
)
#: What a stream gets that names none.
ALL_BUT_AUDITS = frozenset(SUBSCRIBABLE) - {CUSTOM_AUDIT}

_OF_RUNS = {
    CONSOLE: LOG,
    FUNCTION_EXECUTION: EXECUTION,
    EXCEPTION: EXCEPTION_ENTRY,
    CUSTOM_AUDIT: AUDIT,
}
_HOST = "host."


def entry_kind(topic: str) -> str:
    """The kind of the run log's entries that a topic is made of.

    >>> entry_kind("console"), entry_kind("audit_log")
    ('log', 'host.audit_log')
    """
    return _OF_RUNS.get(topic) or _HOST + topic


def drops_of(stream: str) -> str:
    """The kind of the entries that tell one stream what it lost."""
    return f"{_HOST}{EVENTS_DROPPED}.{stream}"


def entry_kinds(topics: Iterable[str]) -> tuple[str, ...]:
    """The kinds that a stream with these topics reads, each once, in a stable order."""
    return tuple(sorted({entry_kind(topic) for topic in topics}))

"""Events become log records.

Owns what is said where: the line that people read is the body, everything else an attribute with a
type. Never drops a field. One invariant: a record's time is the line's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from posthog_convex.logs.events import Event, Function, Link, Scalar
from posthog_convex.logs.record import LogRecord, Severity, nanoseconds
from posthog_convex.logs.traces import trace_id_of

#: What PostHog finds a record's person and session by.
DISTINCT_ID = "posthogDistinctId"
SESSION_ID = "sessionId"

#: The topic that tells a stream what it lost.
DROPPED = "log_stream_events_dropped"

_LEVELS = {"ERROR": Severity.ERROR, "WARN": Severity.WARN, "DEBUG": Severity.DEBUG}
#: Convex's own records spell these topics otherwise.
_TOPICS = {
    "audit_log": "deployment_audit_log",
    "storage_api_bandwidth": "storage_bandwidth",
}


def record_of(event: Event, rest: Mapping[str, Any], link: Link) -> LogRecord:
    """The record of an event; `rest` is what the event holds beyond the known fields.

    >>> from posthog_convex.logs.events import Function
    >>> of = Function("a:b", "query", "r1")
    >>> event = Event("console", 1000, of, log_level="WARN", message="hm")
    >>> made = record_of(event, {}, Link(ts_ms=999.5))
    >>> made.body, made.severity.name, made.ts_ns, made.attributes["convex.request_id"]
    ('hm', 'WARN', 999500000, 'r1')
    """
    request_id = event.function.request_id if event.function is not None else ""
    return LogRecord(
        ts_ns=nanoseconds(event.timestamp if link.ts_ms is None else link.ts_ms),
        severity=_severity(event),
        body=_body(event, rest),
        attributes=_attributes(event, rest, link),
        trace_id=link.trace_id or trace_id_of(request_id),
        span_id=link.span_id,
    )


def in_order(records: Iterable[LogRecord]) -> list[LogRecord]:
    """The records, a microsecond apart where lines of one request have the same time.

    Queries and mutations see a clock that stands still, and PostHog sorts by time alone.

    >>> same = LogRecord(ts_ns=5000, severity=Severity.INFO, body="", trace_id="a")
    >>> [record.ts_ns for record in in_order([same, same, same])]
    [5000, 6000, 7000]
    """
    made: list[LogRecord] = []
    #: By trace: the time of the last record, and the one that it was given.
    last: dict[str, tuple[int, int]] = {}
    for record in records:
        time, given = last.get(record.trace_id, (-1, 0))
        ts_ns = given + 1000 if record.trace_id and record.ts_ns == time else record.ts_ns
        last[record.trace_id] = (record.ts_ns, ts_ns)
        made.append(record if ts_ns == record.ts_ns else replace(record, ts_ns=ts_ns))
    return made


def _severity(event: Event) -> Severity:
    if event.topic == "console":
        return _LEVELS.get(event.log_level or "", Severity.INFO)
    if event.topic == DROPPED:
        return Severity.WARN
    return Severity.ERROR if event.failed else Severity.INFO


def _body(event: Event, rest: Mapping[str, Any]) -> str:
    """What a person reads in a list of lines."""
    match event.topic:
        case "function_execution":
            return _execution(event)
        case "log_stream_events_dropped":
            reason = rest.get("reason") or "no reason given"
            return f"{rest.get('dropped_events')} events were dropped: {reason}"
        case "audit_log":
            return f"{event.audit_log_action or event.topic}"
        case _ if event.message is not None:
            return event.message
        case _:
            said = {name: value for name, value in rest.items() if value is not None}
            return f"{event.topic} {_text(said)}" if said else event.topic


def _execution(event: Event) -> str:
    what = event.function
    name = f"{what.type} {what.path}" if what is not None else "function"
    if event.failed:
        return f"{name} failed: {(event.error_message or 'no reason given').splitlines()[0]}"
    if event.will_retry:
        return f"{name} met a conflict and runs again"
    cached = " from the cache" if what is not None and what.cached else ""
    took = f" in {event.execution_time_ms:g} ms" if event.execution_time_ms is not None else ""
    return f"{name} returned{cached}{took}"


def _attributes(event: Event, rest: Mapping[str, Any], link: Link) -> dict[str, Scalar]:
    found: dict[str, Any] = {"convex.topic": _TOPICS.get(event.topic, event.topic)}
    if event.function is not None:
        found |= _of_function(event.function)
    found["convex.execution_id"] = link.execution_id
    for name, told_as in _PLAIN:
        if (value := getattr(event, name)) is not None:
            found[told_as] = value
    if event.occ_info is not None:
        found |= _below("convex.occ", msgspec.structs.asdict(event.occ_info))
    if event.scheduler_info is not None:
        found["convex.scheduler.job_id"] = event.scheduler_info.job_id
    if event.usage:
        found |= _below("convex.usage", event.usage)
    if rest:
        found |= _below("convex", rest)
    found |= {"log.record.uid": link.id, SESSION_ID: link.session_id}
    found[DISTINCT_ID] = link.distinct_id
    return {
        name: value if isinstance(value, str | bool | int | float) else _text(value)
        for name, value in found.items()
        if value is not None and value != ""
    }


@lru_cache(maxsize=64)
def _of_function(function: Function) -> Mapping[str, Any]:
    """What is said of the function: the same for all lines of a run, which follow each other."""
    return {
        "convex.function.path": function.path,
        "convex.function.type": function.type,
        "convex.function.cached": function.cached,
        "convex.function.mutation_queue_length": function.mutation_queue_length,
        "convex.function.mutation_retry_count": function.mutation_retry_count,
        "convex.component.path": function.component_path,
        "convex.request_id": function.request_id,
    }


#: Fields, and the attributes that they are.
_PLAIN = tuple(
    (name, f"convex.{name}")
    for name in (
        *("log_level", "is_truncated", "system_code"),
        *("execution_time_ms", "user_execution_time_ms", "status", "error_message"),
        *("will_retry", "run_reason", "audit_log_action", "audit_log_metadata"),
    )
)


def _below(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()

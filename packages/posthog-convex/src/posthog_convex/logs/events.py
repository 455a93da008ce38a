"""Events of Convex's log streams, as they are on the wire.

Owns reading one. Never judges it: a topic or field that came later is read like any other. One
invariant: what an event holds beyond the known fields is kept, as the JSON text that it came as.

Absent optionals are `null` on the wire, so both mean the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

#: Scalars that an attribute may hold.
Scalar = str | bool | int | float


class Function(msgspec.Struct, frozen=True):
    """The function that an event is about."""

    path: str = ""
    #: query, mutation, action or http_action.
    type: str = ""
    request_id: str = ""
    cached: bool | None = None
    mutation_queue_length: int | None = None
    mutation_retry_count: int | None = None
    component_path: str | None = None


class Occ(msgspec.Struct, frozen=True):
    """The conflict that an attempt met."""

    table_name: str | None = None
    document_id: str | None = None
    write_source: str | None = None
    component_path: str | None = None
    retry_count: int | None = None


class Scheduled(msgspec.Struct, frozen=True):
    """The job that ran the function."""

    job_id: str | None = None


class Deployment(msgspec.Struct, frozen=True):
    """The deployment that an event comes from."""

    deployment_name: str = ""
    #: dev, prod, preview or custom.
    deployment_type: str | None = None
    deployment_ref: str | None = None
    project_name: str | None = None
    project_slug: str | None = None
    deployment_region: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One event; which fields are there depends on its topic."""

    topic: str
    #: Milliseconds since 1970.
    timestamp: int | float
    function: Function | None = None
    convex: Deployment | None = None
    # console
    log_level: str | None = None
    message: str | None = None
    is_truncated: bool | None = None
    system_code: str | None = None
    # function_execution
    execution_time_ms: int | float | None = None
    user_execution_time_ms: int | float | None = None
    status: str | None = None
    error_message: str | None = None
    will_retry: bool | None = None
    occ_info: Occ | None = None
    scheduler_info: Scheduled | None = None
    run_reason: str | None = None
    usage: dict[str, int | float | None] | None = None
    # audit_log
    audit_log_action: str | None = None
    audit_log_metadata: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it tells of an execution that failed for good."""
        ran = self.topic == "function_execution" and not self.will_retry
        return ran and (self.status == "failure" or bool(self.error_message))


class Link(msgspec.Struct, frozen=True):
    """What Convex's event does not say: which one it is, when exactly, and whose."""

    #: The same at every attempt to send it, and no other event's.
    id: str = ""
    #: The line's own time in milliseconds since 1970, where it differs from the event's.
    ts_ms: float | None = None
    trace_id: str = ""
    #: The span that the run is.
    span_id: str = ""
    execution_id: str = ""
    #: Whose run it was; None also when the run did not look.
    distinct_id: str | None = None
    session_id: str | None = None


class NoEvent(ValueError):
    """What came is no event of a log stream; the message says why."""


def parse_event(text: bytes | str) -> tuple[Event, dict[str, Any]]:
    """An event and, as plain JSON, what it holds beyond the known fields.

    >>> event, rest = parse_event('{"topic": "scheduler_stats", "timestamp": 5, "lag_seconds": 2}')
    >>> event.topic, rest
    ('scheduler_stats', {'lag_seconds': 2})
    """
    try:
        return read_event(_decode(text))
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise NoEvent(f"no event of a log stream: {error}") from None


def read_event(fields: Mapping[str, Any]) -> tuple[Event, dict[str, Any]]:
    """The same of an event that is plain data already. Raises `msgspec.ValidationError`.

    >>> read_event({"topic": "scheduler_stats", "timestamp": 5, "lag_seconds": 2})[1]
    {'lag_seconds': 2}
    """
    event = msgspec.convert(fields, Event)
    return event, {name: value for name, value in fields.items() if name not in _KNOWN}


_decode = msgspec.json.Decoder(dict[str, Any]).decode
_KNOWN = frozenset(Event.__struct_fields__)

"""Convex's log events as the log records that PostHog Logs takes.

Owns the way from an event of a log stream to an OTLP record and to the request's body. Never sends,
reads a clock or knows the host. One invariant: a record says whose it is only where whoever made
the event knew it, so nothing lands on a person by accident.
"""

from posthog_convex.logs.answer import PartialSuccess, partial_success
from posthog_convex.logs.events import Deployment, Event, Function, Link, parse_event, read_event
from posthog_convex.logs.messages import as_printed
from posthog_convex.logs.record import LogRecord, Severity
from posthog_convex.logs.records import in_order, record_of
from posthog_convex.logs.request import (
    MAX_BODY_BYTES,
    BodyTooLarge,
    Resource,
    logs_body,
    logs_headers,
)
from posthog_convex.logs.traces import trace_id_of

__all__ = [
    "MAX_BODY_BYTES",
    "BodyTooLarge",
    "Deployment",
    "Event",
    "Function",
    "Link",
    "LogRecord",
    "PartialSuccess",
    "Resource",
    "Severity",
    "as_printed",
    "in_order",
    "logs_body",
    "logs_headers",
    "parse_event",
    "partial_success",
    "read_event",
    "record_of",
    "trace_id_of",
]

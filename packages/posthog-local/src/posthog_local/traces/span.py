"""An OTLP span, typed, and whether it is about AI at all.

Owns the reading of a span and PostHog's acceptance test. Other spans are ignored in silence,
because exporters send everything they have.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from posthog_local.otlp.request import OtlpItem, attributes_of, nanoseconds, text_of

_STATUS_ERROR = (2, "STATUS_CODE_ERROR")


class Dialect(enum.Enum):
    """Which instrumentation wrote the span."""

    VERCEL = "vercel"
    PYDANTIC_AI = "pydantic-ai"
    TRACELOOP = "traceloop"
    GEN_AI = "gen_ai"


class SpanEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened within a span."""

    name: str
    attributes: dict[str, Any]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One AI span; ids are lower-case hex, `parent_id` is empty at the top of a trace."""

    dialect: Dialect
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: tuple[SpanEvent, ...]
    is_error: bool
    status_message: str

    def first(self, *names: str) -> Any:
        """The first of these attributes that the span has."""
        return next((self.attributes[name] for name in names if name in self.attributes), None)


def ai_span(item: OtlpItem) -> Span | None:
    """The span, or None when it is not about AI."""
    attributes = attributes_of(item.record)
    dialect = _dialect(attributes)
    if dialect is None:
        return None
    record = item.record
    status = record.get("status")
    status = status if isinstance(status, dict) else {}
    return Span(
        dialect=dialect,
        trace_id=text_of(record, "traceId").lower(),
        span_id=text_of(record, "spanId").lower(),
        parent_id=_parent(text_of(record, "parentSpanId").lower()),
        name=text_of(record, "name"),
        start_ns=nanoseconds(record, "startTimeUnixNano"),
        end_ns=nanoseconds(record, "endTimeUnixNano"),
        attributes=attributes,
        resource=item.resource,
        events=_events(record.get("events")),
        is_error=status.get("code") in _STATUS_ERROR,
        status_message=text_of(status, "message"),
    )


def _dialect(attributes: dict[str, Any]) -> Dialect | None:
    def has(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in attributes)

    if has("ai.", "eve."):
        return Dialect.VERCEL
    if has("pydantic_ai."):
        return Dialect.PYDANTIC_AI
    if has("traceloop.") or "llm.request.type" in attributes:
        return Dialect.TRACELOOP
    return Dialect.GEN_AI if has("gen_ai.") else None


def _events(value: object) -> tuple[SpanEvent, ...]:
    records = value if isinstance(value, list) else []
    return tuple(
        SpanEvent(name=text_of(record, "name"), attributes=attributes_of(record))
        for record in records
        if isinstance(record, dict)
    )


def _parent(parent_id: str) -> str:
    return "" if parent_id.strip("0") == "" else parent_id

"""Spans as OTLP's JSON.

Owns the encoding of one span and of a request full of them. Never decides which spans are sent.
One invariant: a span's attributes stand last in its text, so that more can be added without reading
it again.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

#: OTLP's numbers.
INTERNAL, SERVER, CLIENT = 1, 2, 3
STATUS_ERROR = 2

Attributes = Mapping[str, Any]


class SpanEvent(msgspec.Struct, frozen=True):
    """Something that happened within a span."""

    name: str
    time_ns: int
    attributes: Attributes


class SpanFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One finished span; ids are lower-case hex, `parent_id` is empty at the top of a trace."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    kind: int = INTERNAL
    #: 0 unset, 1 ok, 2 error.
    status: int = 0
    status_message: str = ""
    attributes: Attributes = {}
    events: Sequence[SpanEvent] = ()


class SpanText(msgspec.Struct, frozen=True, array_like=True):
    """An encoded span with what stands above it in a request: resource and scope, encoded."""

    resource: bytes
    scope: bytes
    span: bytes


def span_text(value: Any) -> SpanText | None:
    """A report item of the kind `SPAN`; None for what somebody else may have called so."""
    try:
        return msgspec.convert(value, SpanText)
    except msgspec.ValidationError:
        return None


def encode_span(span: SpanFacts) -> bytes:
    """The span's JSON."""
    head: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
    }
    if span.parent_id:
        head["parentSpanId"] = span.parent_id
    if span.events:
        head["events"] = [
            {
                "name": event.name,
                "timeUnixNano": str(event.time_ns),
                "attributes": key_values(event.attributes),
            }
            for event in span.events
        ]
    if span.status:
        status: dict[str, Any] = {"code": span.status}
        if span.status_message:
            status["message"] = span.status_message
        head["status"] = status
    head["attributes"] = key_values(span.attributes)
    return to_json(head)


def with_attributes(span: bytes, more: Attributes) -> bytes:
    """A span's JSON with these attributes too.

    >>> with_attributes(b'{"name":"a","attributes":[]}', {"n": 1})
    b'{"name":"a","attributes":[{"key":"n","value":{"intValue":"1"}}]}'
    """
    if not more:
        return span
    added = to_json(key_values(more))[1:-1]
    comma = b"" if span.endswith(b"[]}") else b","
    return span[:-2] + comma + added + b"]}"


def encode_resource(attributes: Attributes) -> bytes:
    """A resource's JSON."""
    return to_json({"attributes": key_values(attributes)})


def encode_scope(name: str, version: str | None = None) -> bytes:
    """An instrumentation scope's JSON."""
    return to_json({"name": name, "version": version} if version else {"name": name})


def request_body(spans: Iterable[SpanText]) -> bytes:
    """An `ExportTraceServiceRequest`: spans one after the other that share resource and scope
    stand together.
    """
    groups: dict[tuple[bytes, bytes], list[bytes]] = {}
    for text in spans:
        groups.setdefault((text.resource, text.scope), []).append(text.span)
    parts = [
        b'{"resource":%b,"scopeSpans":[{"scope":%b,"spans":[%b]}]}'
        % (resource, scope, b",".join(texts))
        for (resource, scope), texts in groups.items()
    ]
    return b'{"resourceSpans":[%b]}' % b",".join(parts)


def key_values(attributes: Attributes) -> list[dict[str, Any]]:
    """Attributes as OTLP lists them."""
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def to_json(value: Any) -> bytes:
    """JSON of plain data; text that is not valid Unicode loses what is not."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_clean(value))


def _any_value(value: Any) -> dict[str, Any]:
    kind = type(value)
    if kind is str:
        return {"stringValue": value}
    if kind is bool:
        return {"boolValue": value}
    if kind is int:
        return {"intValue": str(value)}
    if kind is float:
        return {"doubleValue": value if math.isfinite(value) else str(value)}
    if kind is tuple or kind is list:
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return _rare_value(value)


def _rare_value(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case Mapping():
            pairs = {str(key): item for key, item in value.items()}
            return {"kvlistValue": {"values": key_values(pairs)}}
        case Sequence() if not isinstance(value, str):
            return _any_value(list(value))
    return {"stringValue": str(value)}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


_encode = msgspec.json.Encoder().encode

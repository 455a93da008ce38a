"""Spans: as a run's report holds them, and as OTLP's JSON.

Owns both forms of a span, and a request full of them. Never decides which spans are sent. One
invariant: a function pays for packing plain values alone; what a collector reads is made where the
span is sent.
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
#: OTLP's integers end here.
_MAX_INT = (1 << 63) - 1


class SpanEvent(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened within a span."""

    name: str
    time_ns: int
    attributes: Attributes


class SpanFacts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
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


class KeptSpan(msgspec.Struct, frozen=True, array_like=True):
    """A report item of the kind `SPAN`: a span below its resource and scope, which are encoded."""

    resource: bytes
    scope: bytes
    span: SpanFacts


class SpanText(msgspec.Struct, frozen=True):
    """A span as JSON, and what stands above it in a request."""

    resource: bytes
    scope: bytes
    span: bytes


def pack_span(resource: bytes, scope: bytes, span: SpanFacts) -> bytes:
    """A `KeptSpan` as msgpack. Attributes may be anything: what is no plain data is kept as its
    text.
    """
    try:
        return _pack((resource, scope, span))
    except (TypeError, ValueError, OverflowError):
        return _pack((resource, scope, _plain_span(span)))


def kept_span(value: Any) -> KeptSpan | None:
    """The span of a report item; None for what somebody else may have called one."""
    try:
        return msgspec.convert(value, KeptSpan)
    except msgspec.ValidationError:
        return None


def plain(value: Any) -> Any:
    """A value as plain data; what is none becomes its text, and text loses what is not Unicode.

    >>> plain({"at": 1 << 70, "who": frozenset({"ada"}), "said": ("a\\ud800b", None)})
    {'at': '1180591620717411303424', 'who': "frozenset({'ada'})", 'said': ['a?b', None]}
    """
    match value:
        case None | bool() | bytes():
            return value
        case str():
            return str.encode(value, "utf-8", "replace").decode()
        case int():
            return int(value) if -_MAX_INT <= value <= _MAX_INT else str(int(value))
        case float():
            return float(value)
        case Mapping():
            return {plain(str(key)): plain(item) for key, item in value.items()}
        case Sequence():
            return [plain(item) for item in value]
    return plain(str(value))


def _plain_span(span: SpanFacts) -> SpanFacts:
    return msgspec.structs.replace(
        span,
        name=plain(span.name),
        status_message=plain(span.status_message),
        attributes=plain(span.attributes),
        events=[
            SpanEvent(plain(event.name), event.time_ns, plain(event.attributes))
            for event in span.events
        ],
    )


def encode_span(span: SpanFacts) -> bytes:
    """The span's JSON."""
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": key_values(span.attributes),
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    if span.events:
        found["events"] = [
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
        found["status"] = status
    return to_json(found)


def encode_resource(attributes: Attributes) -> bytes:
    """A resource's JSON."""
    return to_json({"attributes": key_values(attributes)})


def encode_scope(name: str, version: str | None = None) -> bytes:
    """An instrumentation scope's JSON."""
    return to_json({"name": name, "version": version} if version else {"name": name})


def request_body(spans: Iterable[SpanText]) -> bytes:
    """An `ExportTraceServiceRequest`: spans that share resource and scope stand together."""
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
        return _encode(plain(value))


def _any_value(value: Any) -> dict[str, Any]:
    kind = type(value)
    if kind is str:
        return {"stringValue": value}
    if kind is bool:
        return {"boolValue": value}
    if kind is int:
        number = str(value)
        return {"intValue" if -_MAX_INT <= value <= _MAX_INT else "stringValue": number}
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
            return {"kvlistValue": {"values": key_values(value)}}
    return _any_value(plain(value))


_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder(enc_hook=plain).encode

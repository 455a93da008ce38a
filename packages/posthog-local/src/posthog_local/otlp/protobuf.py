"""Protobuf of the OTLP messages, read into the names and shapes of OTLP's JSON.

Owns the wire format and the tables of fields that are read; unknown fields are skipped, as protobuf
asks. Bytes in, dicts out; a broken message is `Malformed`, never another error.
"""

from __future__ import annotations

import base64
import struct
from typing import Any, NamedTuple

_MAX_DEPTH = 64


class Malformed(ValueError):
    """These bytes are no such message."""


class Field(NamedTuple):
    """One field: its JSON name, how it is written, and whether it repeats."""

    name: str
    kind: str  # text, hex, base64, bool, uint, int, fixed64, fixed32, double, or a message's name
    repeated: bool = False


_MESSAGES: dict[str, dict[int, Field]] = {
    "LogsRequest": {1: Field("resourceLogs", "ResourceLogs", True)},
    "ResourceLogs": {1: Field("resource", "Resource"), 2: Field("scopeLogs", "ScopeLogs", True)},
    "ScopeLogs": {1: Field("scope", "Scope"), 2: Field("logRecords", "LogRecord", True)},
    "LogRecord": {
        1: Field("timeUnixNano", "fixed64"),
        2: Field("severityNumber", "uint"),
        3: Field("severityText", "text"),
        5: Field("body", "AnyValue"),
        6: Field("attributes", "KeyValue", True),
        8: Field("flags", "fixed32"),
        9: Field("traceId", "hex"),
        10: Field("spanId", "hex"),
        11: Field("observedTimeUnixNano", "fixed64"),
        12: Field("eventName", "text"),
    },
    "TraceRequest": {1: Field("resourceSpans", "ResourceSpans", True)},
    "ResourceSpans": {1: Field("resource", "Resource"), 2: Field("scopeSpans", "ScopeSpans", True)},
    "ScopeSpans": {1: Field("scope", "Scope"), 2: Field("spans", "Span", True)},
    "Span": {
        1: Field("traceId", "hex"),
        2: Field("spanId", "hex"),
        4: Field("parentSpanId", "hex"),
        5: Field("name", "text"),
        6: Field("kind", "uint"),
        7: Field("startTimeUnixNano", "fixed64"),
        8: Field("endTimeUnixNano", "fixed64"),
        9: Field("attributes", "KeyValue", True),
        11: Field("events", "SpanEvent", True),
        15: Field("status", "Status"),
    },
    "SpanEvent": {
        1: Field("timeUnixNano", "fixed64"),
        2: Field("name", "text"),
        3: Field("attributes", "KeyValue", True),
    },
    "Status": {2: Field("message", "text"), 3: Field("code", "uint")},
    "Resource": {1: Field("attributes", "KeyValue", True)},
    "Scope": {
        1: Field("name", "text"),
        2: Field("version", "text"),
        3: Field("attributes", "KeyValue", True),
    },
    "KeyValue": {1: Field("key", "text"), 2: Field("value", "AnyValue")},
    "AnyValue": {
        1: Field("stringValue", "text"),
        2: Field("boolValue", "bool"),
        3: Field("intValue", "int"),
        4: Field("doubleValue", "double"),
        5: Field("arrayValue", "ArrayValue"),
        6: Field("kvlistValue", "KeyValueList"),
        7: Field("bytesValue", "base64"),
    },
    "ArrayValue": {1: Field("values", "AnyValue", True)},
    "KeyValueList": {1: Field("values", "KeyValue", True)},
}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES = {
    "bool": _VARINT,
    "uint": _VARINT,
    "int": _VARINT,
    "fixed64": _FIXED64,
    "double": _FIXED64,
    "fixed32": _FIXED32,
}


def read_message(body: bytes, message: str) -> dict[str, Any]:
    """The message `message` in `body`, as OTLP's JSON would write it.

    >>> read_message(bytes([10, 1, 97]), "Scope")
    {'name': 'a'}
    """
    try:
        return _message(memoryview(body), message, _MAX_DEPTH)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"this is no {message}") from error


def _message(body: memoryview, message: str, depth: int) -> dict[str, Any]:
    if depth == 0:
        raise Malformed("the message nests too deeply")
    fields, position = _MESSAGES[message], 0
    result: dict[str, Any] = {}
    while position < len(body):
        tag, position = _varint(body, position)
        raw, position = _raw(body, position, tag & 7)
        field = fields.get(tag >> 3)
        if field is None:
            continue
        if tag & 7 != _WIRE_TYPES.get(field.kind, _LENGTH):
            raise Malformed(f"{message}.{field.name} has the wrong type")
        value = _value(raw, field.kind, depth)
        if field.repeated:
            result.setdefault(field.name, []).append(value)
        else:
            result[field.name] = value
    return result


def _raw(body: memoryview, position: int, wire_type: int) -> tuple[Any, int]:
    match wire_type:
        case 0:
            return _varint(body, position)
        case 1:
            return _slice(body, position, 8)
        case 2:
            length, position = _varint(body, position)
            return _slice(body, position, length)
        case 5:
            return _slice(body, position, 4)
        case _:
            raise Malformed("groups are not part of OTLP")


def _slice(body: memoryview, position: int, length: int) -> tuple[memoryview, int]:
    end = position + length
    if end > len(body):
        raise Malformed("a field is longer than its message")
    return body[position:end], end


def _varint(body: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        byte = body[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
    raise Malformed("a number is too long")


def _value(raw: Any, kind: str, depth: int) -> Any:
    match kind:
        case "text":
            return str(raw, "utf-8")
        case "hex":
            return bytes(raw).hex()
        case "base64":
            return base64.b64encode(raw).decode()
        case "bool":
            return raw != 0
        case "uint":
            return raw
        case "int":
            return raw - (1 << 64) if raw >= 1 << 63 else raw
        case "fixed64":
            return struct.unpack("<Q", raw)[0]
        case "fixed32":
            return struct.unpack("<I", raw)[0]
        case "double":
            return struct.unpack("<d", raw)[0]
        case _:
            return _message(raw, kind, depth - 1)

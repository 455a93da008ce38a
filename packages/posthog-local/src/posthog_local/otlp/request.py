"""An OTLP request of any encoding becomes resources with their records.

Owns the choice between protobuf, JSON and lines of JSON (by the bytes: exporters label them
wrongly) and the reading of attribute values. Raises `Refusal` 400 for what is none of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from posthog_local.http.exchange import Request
from posthog_local.http.refusal import Refusal
from posthog_local.ingest.decode import parse_json
from posthog_local.ingest.shapes import valid_token
from posthog_local.otlp.protobuf import Malformed, read_message

_MAX_DEPTH = 64


class OtlpItem(msgspec.Struct, frozen=True, kw_only=True):
    """One log record or span, still in OTLP's names, with what its resource and scope say."""

    resource: dict[str, Any]
    scope_name: str
    scope_version: str
    record: dict[str, Any]


def bearer_token(request: Request) -> str:
    """The project token of an OTLP request, from its header or query; `Refusal` 401 without one."""
    header = request.header("authorization")
    given = header.removeprefix("Bearer").strip() or request.query.get("token", "")
    return valid_token(given)


def read_logs(body: bytes) -> list[OtlpItem]:
    """Every log record of a request."""
    return _read(body, "LogsRequest", "resourceLogs", "scopeLogs", "logRecords")


def read_spans(body: bytes) -> list[OtlpItem]:
    """Every span of a request."""
    return _read(body, "TraceRequest", "resourceSpans", "scopeSpans", "spans")


def attributes_of(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a record, span, event or resource as plain values."""
    found = {}
    for pair in _objects(holder.get("attributes")):
        key = pair.get("key")
        if isinstance(key, str) and key:
            found[key] = plain(pair.get("value"))
    return found


def plain(value: object, depth: int = _MAX_DEPTH) -> Any:
    """An OTLP value as plain JSON.

    >>> plain({"arrayValue": {"values": [{"intValue": "5"}, {"stringValue": "a"}]}})
    [5, 'a']
    """
    if not isinstance(value, dict) or depth == 0:
        return None
    for kind, inner in value.items():
        match kind:
            case "intValue":
                return _integer(inner)
            case "doubleValue":
                return inner if not isinstance(inner, float) or math.isfinite(inner) else str(inner)
            case "arrayValue":
                return [plain(one, depth - 1) for one in _objects(_object(inner).get("values"))]
            case "kvlistValue":
                pairs = _objects(_object(inner).get("values"))
                return {str(one.get("key")): plain(one.get("value"), depth - 1) for one in pairs}
            case "stringValue" | "boolValue" | "bytesValue":
                return inner
    return None


def nanoseconds(record: Mapping[str, Any], name: str) -> int:
    """A time field, which JSON writes as text; 0 when it is absent or unreadable."""
    value = _integer(record.get(name))
    return value if isinstance(value, int) and 0 <= value < 1 << 63 else 0


def text_of(record: Mapping[str, Any], name: str) -> str:
    """A text field; empty when it is absent or no text."""
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _read(body: bytes, message: str, *path: str) -> list[OtlpItem]:
    return [item for document in _documents(body, message) for item in _items(document, *path)]


def _documents(body: bytes, message: str) -> list[dict[str, Any]]:
    if not body:
        raise Refusal(400, "the body is empty")
    if not body.lstrip().startswith(b"{"):
        try:
            return [read_message(body, message)]
        except Malformed as error:
            raise Refusal(400, f"the body is neither OTLP protobuf nor JSON: {error}") from error
    try:
        documents = [parse_json(body)]
    except Refusal:
        documents = [parse_json(line) for line in body.splitlines() if line.strip()]
    if not all(isinstance(document, dict) for document in documents):
        raise Refusal(400, "every OTLP request must be a JSON object")
    return [document for document in documents if isinstance(document, dict)]


def _items(document: dict[str, Any], outer: str, middle: str, inner: str) -> Iterator[OtlpItem]:
    for group in _objects(document.get(outer)):
        resource = attributes_of(_object(group.get("resource")))
        for scoped in _objects(group.get(middle)):
            scope = _object(scoped.get("scope"))
            for record in _objects(scoped.get(inner)):
                yield OtlpItem(
                    resource=resource,
                    scope_name=text_of(scope, "name"),
                    scope_version=text_of(scope, "version"),
                    record=record,
                )


def _integer(value: object) -> Any:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return value
    return value


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []

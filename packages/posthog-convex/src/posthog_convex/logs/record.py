"""One log record, and its form in OTLP's JSON.

Owns the form: how numbers, times and severities are spelled there. Never knows where a record comes
from. One invariant: equal records have equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any

import msgspec

from posthog_convex.logs.events import Scalar

#: Characters of one attribute: an error's stack fits, a document does not.
MAX_ATTRIBUTE = 16_384
#: Characters of a body; Convex's lines have at most as many.
MAX_BODY = 32_768
_CUT = " (truncated)"
#: Characters of a value whose attribute is kept as it was encoded: an id, a path, a person.
_LONGEST_KEPT = 128
#: What 64 bits hold; beyond, a number is text.
_LARGEST_INT = 2**63 - 1


class Severity(IntEnum):
    """OpenTelemetry's numbers."""

    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line for PostHog Logs."""

    #: Nanoseconds since 1970.
    ts_ns: int
    severity: Severity
    body: str
    attributes: Mapping[str, Scalar] = {}
    trace_id: str = ""
    span_id: str = ""

    def json(self) -> msgspec.Raw:
        r"""The record in OTLP's JSON.

        >>> made = LogRecord(ts_ns=1, severity=Severity.WARN, body="b", attributes={"n": 2}).json()
        >>> print(bytes(made).decode().replace(',"body"', ',\n"body"'))
        {"timeUnixNano":"1","severityNumber":13,"severityText":"WARN",
        "body":{"stringValue":"b"},"attributes":[{"key":"n","value":{"intValue":"2"}}]}
        """
        made = _Otlp(
            timeUnixNano=str(self.ts_ns),
            severityNumber=int(self.severity),
            severityText=self.severity.name,
            body=_Text(_cut(self.body, MAX_BODY)),
            attributes=attributes(self.attributes),
            traceId=self.trace_id,
            spanId=self.span_id,
        )
        return msgspec.Raw(_encode(made))


class _Text(msgspec.Struct):
    stringValue: str


class _Otlp(msgspec.Struct, kw_only=True, omit_defaults=True):
    timeUnixNano: str
    severityNumber: int
    severityText: str
    body: _Text
    attributes: list[msgspec.Raw]
    traceId: str = ""
    spanId: str = ""


def attributes(values: Mapping[str, Scalar]) -> list[msgspec.Raw]:
    """Attributes in OTLP's JSON, in their order."""
    return [_attribute(name, value) for name, value in values.items()]


def nanoseconds(ts_ms: float) -> int:
    """Milliseconds as nanoseconds, exact to the microsecond.

    >>> nanoseconds(1715973841548.25)
    1715973841548250000
    """
    return round(ts_ms * 1000) * 1000


def _attribute(name: str, value: Scalar) -> msgspec.Raw:
    if isinstance(value, float) or (isinstance(value, str) and len(value) > _LONGEST_KEPT):
        return _made(name, value)
    return _kept(name, value)


def _made(name: str, value: Scalar) -> msgspec.Raw:
    return msgspec.Raw(_encode({"key": name, "value": _value(value)}))


#: Nearly all attributes of a line are those of the line before. Equal values of other types are
#: others, and 0.0 is not -0.0, so numbers with fractions are never kept.
_kept = lru_cache(maxsize=1024, typed=True)(_made)
_encode = msgspec.json.Encoder().encode


def _value(value: Scalar) -> dict[str, Any]:
    if isinstance(value, str):  # nearly all are
        return {"stringValue": value if len(value) <= MAX_ATTRIBUTE else _cut(value, MAX_ATTRIBUTE)}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and abs(value) <= _LARGEST_INT:
        return {"intValue": str(value)}  # OTLP's JSON has 64-bit integers as text
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": _cut(str(value), MAX_ATTRIBUTE)}


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - len(_CUT)] + _CUT

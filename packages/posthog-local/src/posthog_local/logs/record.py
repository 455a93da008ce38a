"""An OTLP log record becomes a log line: time, severity, service, and whose it is.

Owns PostHog's rules for all of these. Pure; the time of receipt is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from posthog_local.otlp.request import OtlpItem, attributes_of, nanoseconds, plain, text_of

# A clock further off than this is not believed.
_MAX_CLOCK_DISTANCE_US = 24 * 3600 * 1_000_000
# Where the time that was sent stays.
ORIGINAL_TIMESTAMP = "$originalTimestamp"
_SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")
_OTHER_NAMES = {
    "warning": "warn",
    "err": "error",
    "critical": "fatal",
    "crit": "fatal",
    "emergency": "fatal",
    "notice": "info",
    "information": "info",
    "log": "info",
    "verbose": "trace",
}
_LEVEL_KEYS = ("level", "severity", "log.level", "config.log_level")
_DISTINCT_ID_KEYS = ("posthogDistinctId",)
_SESSION_ID_KEYS = ("sessionId",)
_SESSION_ID_SUFFIXES = (
    "session.id",
    "session_id",
    "sessionId",
    "sessionID",
    "$session_id",
    "posthogSessionId",
    "posthogSessionID",
    "posthog_session_id",
    "posthog.session.id",
)


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One log line. Times are microseconds since 1970; `severity` is one of PostHog's six."""

    timestamp_us: int
    observed_us: int
    severity: str
    severity_number: int
    service_name: str
    body: str
    attributes: dict[str, Any]
    resource_attributes: dict[str, Any]
    scope: str
    event_name: str
    trace_id: str
    span_id: str
    distinct_id: str | None
    session_id: str | None


def log_record(item: OtlpItem, now_us: int) -> LogRecord:
    """The log line that an OTLP record means."""
    record, attributes = item.record, attributes_of(item.record)
    timestamp_us, original = _timestamp(record, now_us)
    if original is not None:
        attributes[ORIGINAL_TIMESTAMP] = original
    body = plain(record.get("body"))
    scope = "@".join(part for part in (item.scope_name, item.scope_version) if part)
    return LogRecord(
        timestamp_us=timestamp_us,
        observed_us=now_us,
        severity=_severity(record, body),
        severity_number=_number(record),
        service_name=_as_text(item.resource.get("service.name")) or "",
        body=_as_text(body) or "",
        attributes=attributes,
        resource_attributes=item.resource,
        scope=scope,
        event_name=text_of(record, "eventName"),
        trace_id=text_of(record, "traceId").lower(),
        span_id=text_of(record, "spanId").lower(),
        distinct_id=_find(_DISTINCT_ID_KEYS, (), attributes, item.resource),
        session_id=_find(_SESSION_ID_KEYS, _SESSION_ID_SUFFIXES, attributes, item.resource),
    )


def _timestamp(record: Mapping[str, Any], now_us: int) -> tuple[int, int | None]:
    sent = nanoseconds(record, "timeUnixNano")
    if sent == 0:
        return now_us, None
    if abs(sent // 1000 - now_us) > _MAX_CLOCK_DISTANCE_US:
        return now_us, sent
    return sent // 1000, None


def _severity(record: Mapping[str, Any], body: object) -> str:
    number = _number(record)
    if number:
        return _SEVERITIES[(number - 1) // 4]
    return _named(text_of(record, "severityText")) or _from_body(body) or "info"


def _from_body(body: object) -> str | None:
    if isinstance(body, str) and body.lstrip().startswith("{"):
        try:
            body = msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return None
    if not isinstance(body, dict):
        return None
    return next((name for key in _LEVEL_KEYS if (name := _named(_as_text(body.get(key))))), None)


def _named(text: str | None) -> str | None:
    name = (text or "").strip().lower()
    name = _OTHER_NAMES.get(name, name)
    return name if name in _SEVERITIES else None


def _number(record: Mapping[str, Any]) -> int:
    number = record.get("severityNumber")
    if not isinstance(number, int) or isinstance(number, bool):
        return 0
    return number if 1 <= number <= 24 else 0


def _find(keys: Sequence[str], suffixes: Sequence[str], *places: Mapping[str, Any]) -> str | None:
    for place in places:
        for key in keys:
            if text := _as_text(place.get(key)):
                return text
    for place in places:
        for name, value in place.items():
            if any(name == one or name.endswith("." + one) for one in suffixes):
                return _as_text(value)
    return None


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()

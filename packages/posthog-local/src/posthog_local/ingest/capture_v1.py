"""Capture v1: one request, many events, a verdict for each.

Owns the strict envelope of `/i/v1/analytics/events` and the verdict on every event. Does no I/O;
the time of receipt is an argument. The envelope is refused whole; events are dropped one by one,
and whatever is not dropped is accepted.
"""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.clock import EventTime, event_time, parse_time_us
from posthog_local.ingest.distinct_id import MAX_DISTINCT_ID_CHARACTERS, is_illegal
from posthog_local.ingest.event import IncomingEvent
from posthog_local.ingest.warning import IngestionWarning, Note, payload_text

MAX_EVENT_NAME_CHARACTERS = 200
MAX_AI_EVENT_BYTES = 8 * 1024 * 1024
# Ids that stand for nobody here besides those that are never merged.
_PERSONLESS_IDS = frozenset(
    ["00000000-0000-0000-0000-000000000000", "anonymous-user", "backend", "nan", "system", "user"]
)
_SDK_INFO = re.compile(r"([\w.@/-]+)/([\w.+-]+)")


class Result(enum.Enum):
    """PostHog's verdicts."""

    OK = "ok"
    WARNING = "warning"
    DROP = "drop"


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event, with PostHog's word for the reason."""

    result: str
    details: str | None = None


class V1Intake(msgspec.Struct, frozen=True, kw_only=True):
    """The accepted events of a request, the verdict on every event by uuid, notes on the others."""

    events: tuple[IncomingEvent, ...]
    verdicts: dict[str, Verdict]
    notes: tuple[Note, ...]


class V1Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """How the request arrived: when, when its sender says it left, and by which SDK."""

    now_us: int
    sent_at_us: int
    sdk: tuple[str, str]


class _Options(msgspec.Struct, frozen=True):
    cookieless_mode: bool | None = None
    disable_skew_correction: bool | None = None
    product_tour_id: str | None = None
    process_person_profile: bool | None = None


class _Dropped(Exception):
    """This event is dropped; the message is the detail of its verdict."""


def read_sdk(header: str) -> tuple[str, str]:
    """Name and version from `PostHog-Sdk-Info`; `Refusal` 400 when it is not `name/version`."""
    match = _SDK_INFO.fullmatch(header)
    if match is None:
        raise Refusal(400, "the header PostHog-Sdk-Info must be name/version")
    return match[1], match[2]


def read_v1(document: object, receipt: V1Receipt) -> V1Intake:
    """The verdict on every event of a request; `Refusal` 400 for a broken envelope."""
    batch = _batch(document)
    verdicts: dict[str, Verdict] = {}
    accepted: list[IncomingEvent] = []
    notes: list[Note] = []
    for raw in batch:
        uuid = _uuid(raw)
        if uuid in verdicts:
            raise Refusal(400, "a uuid stands twice in the batch")
        try:
            event, verdict = _event(uuid, raw, receipt)
        except _Dropped as dropped:
            verdicts[uuid] = Verdict(Result.DROP.value, str(dropped))
            notes.append(_note(uuid, raw, str(dropped), receipt.now_us))
            continue
        verdicts[uuid] = verdict
        accepted.append(event)
    return V1Intake(events=tuple(accepted), verdicts=verdicts, notes=tuple(notes))


def _batch(document: object) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        raise Refusal(400, "the body must be a JSON object with a batch")
    created_at = document.get("created_at")
    if not isinstance(created_at, str) or _rfc3339_us(created_at) is None:
        raise Refusal(400, "created_at must be an RFC 3339 time")
    batch = document.get("batch")
    if not isinstance(batch, list) or not batch:
        raise Refusal(400, "empty batch: the request carries no event")
    if not all(isinstance(raw, dict) for raw in batch):
        raise Refusal(400, "every event must be a JSON object")
    return batch


def _uuid(raw: dict[str, Any]) -> str:
    try:
        return str(UUID(raw["uuid"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Refusal(400, "every event needs a uuid") from None


def _event(uuid: str, raw: dict[str, Any], receipt: V1Receipt) -> tuple[IncomingEvent, Verdict]:
    name, distinct_id = _name(raw), _distinct_id(raw)
    options = _options(raw)
    properties = _properties(raw, options, receipt)
    verdict, warnings = Verdict(Result.OK.value), list[IngestionWarning]()
    if _is_nobody(distinct_id) and properties.get("$process_person_profile") is not False:
        properties["$process_person_profile"] = False
        verdict = Verdict(Result.WARNING.value, "person_processing_disabled")
        details = {"distinct_id": distinct_id}
        warnings.append(IngestionWarning(kind="person_processing_disabled", details=details))
    if name.startswith("$ai_") and len(msgspec.json.encode(properties)) > MAX_AI_EVENT_BYTES:
        raise _Dropped("ai_event_too_big")
    time = _time(raw, options, receipt)
    if time.problem is not None:
        details = {"timestamp": raw["timestamp"]}
        warnings.append(IngestionWarning(kind=time.problem, details=details))
    event = IncomingEvent(
        uuid=uuid,
        event=name,
        distinct_id=distinct_id,
        timestamp_us=time.us,
        received_us=receipt.now_us,
        properties=properties,
        warnings=tuple(warnings),
    )
    return event, verdict


def _name(raw: dict[str, Any]) -> str:
    name = raw.get("event")
    if not isinstance(name, str) or not name:
        raise _Dropped("missing_event_name")
    if len(name) > MAX_EVENT_NAME_CHARACTERS:
        raise _Dropped("event_name_too_long")
    if name == "$performance_event":
        raise _Dropped("dropped_performance_event")
    return name.replace("\0", "\ufffd")


def _distinct_id(raw: dict[str, Any]) -> str:
    distinct_id = raw.get("distinct_id")
    if not isinstance(distinct_id, str) or not distinct_id:
        raise _Dropped("missing_distinct_id")
    if len(distinct_id) > MAX_DISTINCT_ID_CHARACTERS:
        raise _Dropped("distinct_id_too_large")
    return distinct_id.replace("\0", "\ufffd")


def _options(raw: dict[str, Any]) -> _Options:
    try:
        return msgspec.convert(raw.get("options") or {}, _Options)
    except msgspec.ValidationError:
        raise _Dropped("invalid_options") from None


def _properties(raw: dict[str, Any], options: _Options, receipt: V1Receipt) -> dict[str, Any]:
    properties = raw.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        raise _Dropped("malformed_event_properties")
    folded = {
        "$lib": receipt.sdk[0],
        "$lib_version": receipt.sdk[1],
        "$session_id": raw.get("session_id"),
        "$window_id": raw.get("window_id"),
        "$cookieless_mode": options.cookieless_mode,
        "$ignore_sent_at": options.disable_skew_correction,
        "$product_tour_id": options.product_tour_id,
        "$process_person_profile": options.process_person_profile,
    }
    return {**properties, **{name: value for name, value in folded.items() if value is not None}}


def _note(uuid: str, raw: dict[str, Any], verdict: str, now_us: int) -> Note:
    name, distinct_id = raw.get("event"), raw.get("distinct_id")
    return Note(
        kind="event_not_taken",
        at_us=now_us,
        event=name if isinstance(name, str) else None,
        uuid=uuid,
        distinct_id=distinct_id if isinstance(distinct_id, str) else None,
        details={"verdict": verdict},
        payload=payload_text(raw),
    )


def _time(raw: dict[str, Any], options: _Options, receipt: V1Receipt) -> EventTime:
    timestamp = raw.get("timestamp")
    if not isinstance(timestamp, str) or _rfc3339_us(timestamp) is None:
        raise _Dropped("invalid_event_timestamp")
    return event_time(
        now_us=receipt.now_us,
        timestamp=timestamp,
        offset_ms=None,
        sent_at_us=receipt.sent_at_us,
        ignore_sent_at=options.disable_skew_correction is True,
    )


def _rfc3339_us(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else parse_time_us(text)


def _is_nobody(distinct_id: str) -> bool:
    return is_illegal(distinct_id) or distinct_id.lower() in _PERSONLESS_IDS

"""The JSON of a v0 capture request becomes events: batch, single event or array, with every alias.

Owns the field rules of PostHog's capture service. Does no I/O; the time of receipt and new uuids
are arguments. A request is taken whole or refused whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.clock import EventTime, event_time, parse_time_us
from posthog_local.ingest.distinct_id import MAX_DISTINCT_ID_CHARACTERS, text_id
from posthog_local.ingest.event import IncomingEvent, Intake
from posthog_local.ingest.warning import IngestionWarning, Note, payload_text

MAX_TOKEN_CHARACTERS = 64
# Milliseconds of 2020-01-01: a smaller `_` is a cache-buster, not a clock.
_MIN_QUERY_SENT_AT_MS = 1_577_836_800_000
_PERSON_FIELDS = ("$set", "$set_once", "$unset")
_DROPPED_EVENT = "$performance_event"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """How a body arrived; `engage` lets an event without a name be `$identify`."""

    now_us: int
    query: Mapping[str, str]
    new_uuid: Callable[[], str]
    engage: bool = False


def read_events(document: object, receipt: Receipt) -> Intake:
    """The events of one decoded body, or `Refusal` with the status that PostHog documents."""
    events, defaults = _parts(document)
    if not events:
        raise Refusal(400, "empty batch: the request carries no event")
    sent_at = _sent_at_us(defaults.get("sent_at"), receipt.query)
    default_token = _first(defaults, "token", "$token", "api_key")
    tokens: set[str] = set()
    accepted: list[IncomingEvent] = []
    notes: list[Note] = []
    for event in events:
        properties = _properties(event)
        token = _first(event, "token", "$token", "api_key") or properties.get("token")
        tokens.add(valid_token(token or default_token))
        if event.get("event") == _DROPPED_EVENT:
            notes.append(_dropped(event, receipt.now_us))
        else:
            accepted.append(_event(event, properties, sent_at, receipt))
    if len(tokens) > 1:
        raise Refusal(401, "all events of one request must carry the same project token")
    return Intake(token=tokens.pop(), events=tuple(accepted), notes=tuple(notes))


def valid_token(token: object) -> str:
    """`token` trimmed; `Refusal` 401 if missing, too long, not ASCII, or a personal key."""
    if not isinstance(token, str) or not token.strip():
        raise Refusal(401, "the request carries no project token (api_key)")
    text = token.strip()
    if len(text) > MAX_TOKEN_CHARACTERS or not text.isascii() or "\0" in text:
        raise Refusal(401, "the project token is not valid")
    if text.startswith("phx_"):
        raise Refusal(401, "this is a personal API key (phx_); send the project token (phc_)")
    return text


def _parts(document: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    if isinstance(document, list):
        return list(_objects(document)), {}
    if not isinstance(document, dict):
        raise Refusal(400, "the payload must be an event, a list of events or a batch object")
    if "batch" not in document:
        return [document], document
    batch = document["batch"]
    if not isinstance(batch, list):
        raise Refusal(400, "batch must be a list of events")
    return list(_objects(batch)), document


def _objects(items: list[Any]) -> Iterator[dict[str, Any]]:
    for item in items:
        if not isinstance(item, dict):
            raise Refusal(400, "every event must be a JSON object")
        yield item


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    properties = event.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise Refusal(400, "properties must be a JSON object")
    return properties


def _event(
    event: dict[str, Any], properties: dict[str, Any], sent_at: int | None, receipt: Receipt
) -> IncomingEvent:
    distinct_id = text_id(_first(event, "distinct_id", "$distinct_id")) or text_id(
        properties.get("distinct_id")
    )
    if not distinct_id:
        raise Refusal(400, "an event has no distinct_id")
    time = event_time(
        now_us=receipt.now_us,
        timestamp=_timestamp(event),
        offset_ms=_offset(event),
        sent_at_us=sent_at,
        ignore_sent_at=properties.get("$ignore_sent_at") is True,
    )
    return IncomingEvent(
        uuid=_uuid(event.get("uuid")) or receipt.new_uuid(),
        event=_name(event, receipt),
        distinct_id=distinct_id,
        timestamp_us=time.us,
        received_us=receipt.now_us,
        properties=_with_person_fields(event, properties),
        warnings=_rewritten(event, time, distinct_id),
    )


def _rewritten(
    event: dict[str, Any], time: EventTime, distinct_id: str
) -> tuple[IngestionWarning, ...]:
    """Warnings of what is stored otherwise than it was sent; almost always none."""
    warnings: tuple[IngestionWarning, ...] = ()
    if time.problem is not None:
        details = {"timestamp": event.get("timestamp"), "sent_at": event.get("sent_at")}
        warnings = (IngestionWarning(kind=time.problem, details=details),)
    if len(distinct_id) == MAX_DISTINCT_ID_CHARACTERS:
        sent = _first(event, "distinct_id", "$distinct_id") or event["properties"]["distinct_id"]
        if isinstance(sent, str) and len(sent) > MAX_DISTINCT_ID_CHARACTERS:
            details = {"characters": len(sent), "kept": distinct_id}
            warnings += (IngestionWarning(kind="distinct_id_truncated", details=details),)
    return warnings


def _dropped(event: dict[str, Any], now_us: int) -> Note:
    return Note(
        kind="performance_event_dropped",
        at_us=now_us,
        event=_DROPPED_EVENT,
        details={},
        payload=payload_text(event),
    )


def _name(event: dict[str, Any], receipt: Receipt) -> str:
    name = event.get("event")
    if isinstance(name, str) and name:
        return name.replace("\0", "\ufffd")
    if receipt.engage and name is None:
        return "$identify"
    raise Refusal(400, "an event has no name")


def _uuid(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refusal(400, "uuid must be a string")
    try:
        return str(UUID(value))
    except ValueError as error:
        raise Refusal(400, "uuid is not a UUID") from error


def _timestamp(event: dict[str, Any]) -> str | None:
    timestamp = event.get("timestamp")
    if timestamp is not None and not isinstance(timestamp, str):
        raise Refusal(400, "timestamp must be a string")
    return timestamp


def _offset(event: dict[str, Any]) -> int | None:
    offset = event.get("offset")
    if offset is None:
        return None
    if isinstance(offset, bool) or not isinstance(offset, int):
        raise Refusal(400, "offset must be a whole number of milliseconds")
    return offset


def _with_person_fields(event: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    for name in _PERSON_FIELDS:
        value = event.get(name)
        if value is None:
            continue
        inner = properties.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            value = {**inner, **value}
        properties[name] = value
    return properties


def _sent_at_us(sent_at: object, query: Mapping[str, str]) -> int | None:
    if isinstance(sent_at, str) and (parsed := parse_time_us(sent_at)) is not None:
        return parsed
    for name in ("sent_at", "_"):
        text = query.get(name, "")
        if (
            text.isascii()
            and text.isdigit()
            and len(text) < 16
            and int(text) > _MIN_QUERY_SENT_AT_MS
        ):
            return int(text) * 1000
    return None


def _first(document: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        value = document.get(name)
        if value is not None and value != "":
            return value
    return None

"""Events in the store: taking them in, each as its kind is kept.

Owns every SQL statement that writes events. Invariant: an event's uuid is stored once, whoever
sends it how often.
"""

from __future__ import annotations

from typing import Any

import msgspec

from posthog_local.errors.exception import process
from posthog_local.ingest.event import IncomingEvent, new_uuid7
from posthog_local.ingest.warning import IngestionWarning
from posthog_local.persons.attribution import Attribution, attribute
from posthog_local.store import schema
from posthog_local.store.shelves import issues, warnings
from posthog_local.store.transaction import Transaction
from posthog_local.traces.costs import PRICED_EVENTS, priced
from posthog_local.traces.normal import normalised

_INSERT = f"INSERT INTO events ({schema.EVENT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
# About what PostHog's queue takes as one message.
_MAX_BYTES = 1_000_000
_encode = msgspec.json.Encoder().encode


def ingest(transaction: Transaction, event: IncomingEvent) -> None:
    """Processes and stores one event; does nothing when its uuid is already stored."""
    uuid = bytes.fromhex(event.uuid.replace("-", ""))
    known = transaction.connection.execute(
        "SELECT event, distinct_id FROM events WHERE uuid = ?", (uuid,)
    ).fetchone()
    if known is not None:
        _note_reuse(transaction, event, known)
        return
    result = attribute(event, transaction.people, transaction.groups)
    for warning in (*event.warnings, *result.warnings):
        _warn(transaction, event, warning)
    if not result.kept:
        return
    if event.event == "$exception":
        _append_exception(transaction, uuid, event, result)
    elif event.event.startswith("$ai_"):
        _append_ai(transaction, uuid, event, result)
    else:
        _append(transaction, uuid, event, result, result.properties)


def _warn(transaction: Transaction, event: IncomingEvent, warning: IngestionWarning) -> None:
    """Keeps an ingestion warning beside the event that caused it."""
    warnings.add(transaction.connection, warnings.about(warning, event))


def _append_exception(
    transaction: Transaction, uuid: bytes, event: IncomingEvent, result: Attribution
) -> None:
    exception = process(result.properties, lambda: new_uuid7(event.received_us))
    if exception.fingerprint is None:
        _append(transaction, uuid, event, result, exception.properties)
        return
    new_id = new_uuid7(event.received_us)
    issue_id = issues.take(transaction.connection, exception, new_id, event.timestamp_us)
    if issue_id is None:
        kind = "exception_of_suppressed_issue"
        _warn(transaction, event, IngestionWarning(kind=kind, details={}))
        return
    properties = {**exception.properties, "$exception_issue_id": issue_id}
    seq = _append(transaction, uuid, event, result, properties)
    issues.add_occurrence(transaction.connection, issue_id, seq)


def _append_ai(
    transaction: Transaction, uuid: bytes, event: IncomingEvent, result: Attribution
) -> None:
    properties = normalised(result.properties)
    if event.event in PRICED_EVENTS:
        properties = priced(properties)
    trace_id = properties.get("$ai_trace_id")
    seq = _append(transaction, uuid, event, result, properties)
    if trace_id:
        transaction.connection.execute(
            "INSERT INTO trace_events (trace_id, seq) VALUES (?,?)", (trace_id, seq)
        )


def _append(
    transaction: Transaction,
    uuid: bytes,
    event: IncomingEvent,
    result: Attribution,
    properties: dict[str, Any],
) -> int:
    seq, text = transaction.next_seq(), _encode(properties).decode()
    if len(text) > _MAX_BYTES and not event.event.startswith("$ai_"):
        details = {"bytes": len(text)}
        _warn(transaction, event, IngestionWarning(kind="message_size_too_large", details=details))
    transaction.connection.execute(
        _INSERT,
        (
            seq,
            uuid,
            event.event,
            event.distinct_id,
            result.mode.value,
            event.timestamp_us,
            event.received_us,
            _text_or_none(properties.get("$session_id")),
            _text_or_none(properties.get("$window_id")),
            *(result.groups.get(index) for index in range(5)),
            text,
        ),
    )
    return seq


def _note_reuse(transaction: Transaction, event: IncomingEvent, known: tuple[Any, ...]) -> None:
    if known != (event.event, event.distinct_id):
        details = {"kept": {"event": known[0], "distinct_id": known[1]}}
        kind = "uuid_reused_by_another_event"
        _warn(transaction, event, IngestionWarning(kind=kind, details=details))


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None

"""Stored things as the JSON of the control API: times as ISO 8601, names as PostHog's.

Owns those shapes alone, so that the API and the command line show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from posthog_local.ingest.clock import format_time
from posthog_local.ingest.warning import REASONS
from posthog_local.store.reader import StoredEvent, StoredPerson
from posthog_local.store.shelves.issues import Issue
from posthog_local.store.shelves.logs import StoredLog
from posthog_local.store.shelves.recordings import Recording
from posthog_local.store.shelves.warnings import StoredWarning


def event_json(event: StoredEvent) -> dict[str, Any]:
    """One event with everything that is kept of it."""
    return {
        "seq": event.seq,
        "uuid": event.uuid,
        "event": event.event,
        "distinct_id": event.distinct_id,
        "person_id": event.person_id,
        "person_mode": event.person_mode,
        "timestamp": format_time(event.timestamp_us),
        "received_at": format_time(event.received_us),
        "session_id": event.session_id,
        "properties": event.properties,
    }


def timeline_json(
    events: Sequence[StoredEvent], logs: Sequence[StoredLog], recordings: Sequence[Recording]
) -> list[dict[str, Any]]:
    """What a person did and what happened around them, as one timeline, the earliest first."""
    replays = [
        {"at": format_time(one.first_ms * 1000), **recording_json(one)} for one in recordings
    ]
    entries = [*event_entries(events), *log_entries(logs), *replays]
    return sorted(entries, key=lambda entry: str(entry["at"]))


def recording_json(recording: Recording) -> dict[str, Any]:
    """A recording's facts; `kind` makes it a timeline entry."""
    return {
        "kind": "replay",
        "session_id": recording.session_id,
        "distinct_id": recording.distinct_id,
        "duration_s": (recording.last_ms - recording.first_ms) / 1000,
        "clicks": recording.clicks,
        "keypresses": recording.keypresses,
        "console_errors": recording.console_errors,
        "start_url": recording.start_url,
    }


def log_entries(logs: Sequence[StoredLog]) -> list[dict[str, Any]]:
    """Log lines as timeline entries."""
    return [
        {
            "at": format_time(log.record.timestamp_us),
            "kind": "log",
            "severity": log.record.severity,
            "body": log.record.body,
            "distinct_id": log.record.distinct_id,
            "source": log.record.service_name or None,
            "trace_id": log.record.trace_id or None,
            "properties": log.record.attributes,
        }
        for log in logs
    ]


def log_json(log: StoredLog) -> dict[str, Any]:
    """One log line with everything that is kept of it."""
    return {
        "seq": log.seq,
        **msgspec.structs.asdict(log.record),
        "timestamp": format_time(log.record.timestamp_us),
        "observed_timestamp": format_time(log.record.observed_us),
    }


def event_entries(events: Sequence[StoredEvent]) -> list[dict[str, Any]]:
    """Events as timeline entries; exceptions and LLM events say so in `kind`."""
    return [
        {
            "at": format_time(event.timestamp_us),
            "kind": _kind(event.event),
            "event": event.event,
            "distinct_id": event.distinct_id,
            "uuid": event.uuid,
            "source": event.properties.get("$lib"),
            "properties": event.properties,
        }
        for event in events
    ]


def _kind(event: str) -> str:
    if event == "$exception":
        return "exception"
    return "ai" if event.startswith("$ai_") else "event"


def person_json(person: StoredPerson) -> dict[str, Any]:
    """A person with their ids."""
    return {
        "id": person.id,
        "distinct_ids": person.distinct_ids,
        "properties": person.properties,
        "is_identified": person.is_identified,
        "created_at": format_time(person.created_at_us),
    }


def issue_json(issue: Issue) -> dict[str, Any]:
    """An issue with its counts."""
    return {
        "id": issue.id,
        "fingerprint": issue.fingerprint,
        "name": issue.name,
        "description": issue.description,
        "status": issue.status,
        "first_seen": format_time(issue.first_seen_us),
        "last_seen": format_time(issue.last_seen_us),
        "occurrences": issue.occurrences,
        "persons": issue.persons,
    }


def warning_json(warning: StoredWarning) -> dict[str, Any]:
    """An ingestion warning."""
    return {
        "seq": warning.seq,
        "at": format_time(warning.at_us),
        "kind": warning.kind,
        "event": warning.event,
        "uuid": warning.uuid,
        "distinct_id": warning.distinct_id,
        "details": warning.details,
        "reason": REASONS.get(warning.kind, ""),
        "payload": warning.payload,
    }

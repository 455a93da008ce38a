"""Ingestion warnings: what PostHog would drop, rewrite or refuse without a word, said aloud.

Owns the kinds of warnings with what each means, and how much of a payload is kept beside one. Where
PostHog has a name for the kind, it is PostHog's.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_PAYLOAD_CHARACTERS = 16_384
# Kind to what PostHog does, and what to change.
REASONS: Mapping[str, str] = {
    "alias_missing": "The event names no alias, so nobody was merged. Send properties.alias.",
    "cannot_merge_already_identified": "The other id belongs to somebody who is identified, so the"
    " two stay apart. Only $merge_dangerously merges them.",
    "cannot_merge_with_illegal_distinct_id": "An id like null, undefined or anonymous stands for"
    " many people, so nobody was merged. Send the id of one person.",
    "distinct_id_truncated": "Distinct ids end at 200 characters; the rest was cut off, so two long"
    " ids may become one person.",
    "dropped_by_retention": "Rows beyond --keep-days or --max-mb were dropped here, the oldest"
    " first. PostHog keeps them for as long as the plan says.",
    "event_not_taken": "The event was dropped; others of its request were taken. The verdict names"
    " the field.",
    "event_timestamp_in_future": "The timestamp is more than 23 hours ahead, so the time of receipt"
    " stands instead. Look at the sender's clock.",
    "exception_of_suppressed_issue": "The issue is suppressed, so its exceptions are dropped.",
    "group_key_missing": "A group needs a type and a key, so nothing was kept of it.",
    "group_type_limit_reached": "A project has at most five group types; this one is ignored.",
    "ignored_invalid_timestamp": "The timestamp cannot be read, so the time of receipt stands"
    " instead. Send ISO 8601.",
    "invalid_event_when_process_person_profile_is_false": "The event is about a person but says"
    " that none is wanted ($process_person_profile false), so it was dropped.",
    "invalid_person_properties": "$set and $set_once are objects, $unset a list; this one is"
    " neither and was ignored.",
    "invalid_process_person_profile": "$process_person_profile is true or false; anything else"
    " counts as true.",
    "log_timestamp_replaced": "The line's time is more than a day off, so the time of receipt"
    " stands instead; $originalTimestamp keeps what was sent.",
    "message_size_too_large": "The event is larger than 1 MB. It was kept here; PostHog drops it.",
    "metrics_not_kept": "PostHog keeps metrics; this server accepts them and drops them.",
    "performance_event_dropped": "$performance_event is no longer taken; session replay records"
    " what it held.",
    "person_processing_disabled": "The distinct id stands for many people, so the event is"
    " personless.",
    "person_properties_of_personless_event": "The event is personless ($process_person_profile"
    " false), so its $set, $set_once and $unset were dropped.",
    "request_refused": "The whole request was refused and nothing of it was kept. SDKs do not"
    " repeat most of these.",
    "spans_not_about_ai": "The endpoint keeps spans about AI alone (attributes gen_ai.*, ai.*,"
    " traceloop.*, pydantic_ai.*); the others were dropped.",
    "traces_not_kept": "PostHog keeps these traces; this server drops them. Spans about AI go to"
    " /i/v0/ai/otel.",
    "unknown_project_token": "The token is not this project's, so everything of the request was"
    " dropped and answered with 200, as PostHog does. Settings shows the token.",
    "uuid_reused_by_another_event": "An event with this uuid is stored already, so this one was"
    " dropped. PostHog may keep either.",
}


class IngestionWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an event; `kind` is one of `REASONS`."""

    kind: str
    details: dict[str, Any]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A warning about what was not stored, or about no event at all, with what came."""

    kind: str
    at_us: int
    details: dict[str, Any]
    payload: str
    event: str | None = None
    uuid: str | None = None
    distinct_id: str | None = None


def payload_text(value: object) -> str:
    """A value as JSON, as far as there is room for it."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_PAYLOAD_CHARACTERS else text[: MAX_PAYLOAD_CHARACTERS - 1] + "…"


def body_text(body: bytes) -> str:
    """The beginning of a body as text, unpacked if it is gzip.

    >>> body_text(b'{"event": 1}')
    '{"event": 1}'
    """
    if body.startswith(b"\x1f\x8b\x08"):
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, MAX_PAYLOAD_CHARACTERS)
        except zlib.error:
            return f"{len(body)} bytes of damaged gzip"
    return body[:MAX_PAYLOAD_CHARACTERS].decode("utf-8", "replace").replace("\0", "\ufffd")

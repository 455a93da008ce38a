"""A request of recorded snapshots becomes one piece of a recording.

Owns PostHog's rules for `/s/` and the unpacking of compressed rrweb events, so that a player can
take them as they are. Does no I/O; a request is taken whole or refused whole.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

import msgspec

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.distinct_id import text_id
from posthog_local.ingest.shapes import valid_token

_SESSION_ID = re.compile(r"[A-Za-z0-9-]{1,70}")
_FULL_SNAPSHOT, _INCREMENTAL, _META, _PLUGIN = 2, 3, 4, 6
_PACKED_FIELDS = {0: ("texts", "attributes", "removes", "adds"), 8: ("adds", "removes")}
_MOUSE, _INPUT, _CLICK = 2, 5, 2
_CONSOLE = "rrweb/console@1"
_MAX_UNPACKED_BYTES = 64 * 1024 * 1024


class RecordingPiece(msgspec.Struct, frozen=True, kw_only=True):
    """What one request adds to a recording; times are milliseconds, as rrweb writes them.

    `received_us` is when the request came, in microseconds: the browser's clock may be wrong.
    """

    token: str
    received_us: int
    session_id: str
    window_id: str
    distinct_id: str
    source: str
    items: tuple[dict[str, Any], ...]
    first_ms: int
    last_ms: int
    clicks: int
    keypresses: int
    console_errors: int
    start_url: str | None


def read_piece(document: object, now_us: int) -> RecordingPiece:
    """The piece that a decoded request brings; `Refusal` with PostHog's statuses."""
    events = _events(document)
    first = _properties(events[0])
    default_token = document.get("api_key") if isinstance(document, dict) else None
    token = valid_token(first.get("token") or events[0].get("api_key") or default_token)
    session_id = first.get("$session_id")
    if not isinstance(session_id, str) or _SESSION_ID.fullmatch(session_id) is None:
        raise Refusal(400, "$session_id is missing or not 1 to 70 letters, digits and dashes")
    distinct_id = text_id(first.get("distinct_id")) or text_id(events[0].get("distinct_id"))
    if not distinct_id:
        raise Refusal(400, "the recording has no distinct_id")
    items = [unpack(item) for event in events for item in _snapshot_items(_properties(event))]
    times = [int(item["timestamp"]) for item in items if _is_time(item.get("timestamp"))]
    window_id, source = first.get("$window_id"), first.get("$snapshot_source")
    return RecordingPiece(
        token=token,
        received_us=now_us,
        session_id=session_id,
        window_id=window_id if isinstance(window_id, str) and window_id else session_id,
        distinct_id=distinct_id,
        source=source if isinstance(source, str) and source else "web",
        items=tuple(items),
        first_ms=min(times, default=0),
        last_ms=max(times, default=0),
        clicks=sum(_is_input(item, _MOUSE, _CLICK) for item in items),
        keypresses=sum(_is_input(item, _INPUT, None) for item in items),
        console_errors=sum(_is_console_error(item) for item in items),
        start_url=next((url for item in items if (url := _href(item)) is not None), None),
    )


def unpack(item: dict[str, Any]) -> dict[str, Any]:
    """An rrweb event with its compressed parts unpacked; one that cannot be is kept as it came."""
    data = item.get("data")
    if item.get("cv") is None:
        return item
    if item.get("type") == _FULL_SNAPSHOT and isinstance(data, str):
        return {**item, "data": _unpacked(data)}
    if item.get("type") == _INCREMENTAL and isinstance(data, dict):
        source = data.get("source")
        fields = _PACKED_FIELDS.get(source, ()) if isinstance(source, int) else ()
        packed = {name: _unpacked(data[name]) for name in fields if isinstance(data.get(name), str)}
        return {**item, "data": {**data, **packed}}
    return item


def _unpacked(text: str) -> Any:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(text.encode("latin-1"), _MAX_UNPACKED_BYTES)
        return msgspec.json.decode(body)
    except (zlib.error, UnicodeError, msgspec.MsgspecError, RecursionError, ValueError):
        return text


def _events(document: object) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        document = document.get("batch", [document])
    if not isinstance(document, list) or not document:
        raise Refusal(400, "the request carries no snapshot")
    if not all(isinstance(event, dict) for event in document):
        raise Refusal(400, "every event must be a JSON object")
    return document


def _properties(event: dict[str, Any]) -> dict[str, Any]:
    properties = event.get("properties")
    return properties if isinstance(properties, dict) else {}


def _snapshot_items(properties: dict[str, Any]) -> list[dict[str, Any]]:
    data = properties.get("$snapshot_data")
    items: list[Any] = data if isinstance(data, list) else [data]
    if not all(isinstance(item, dict) for item in items):
        raise Refusal(400, "$snapshot_data is missing or no rrweb events")
    return items


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15


def _is_input(item: dict[str, Any], source: int, kind: int | None) -> bool:
    data = item.get("data")
    if item.get("type") != _INCREMENTAL or not isinstance(data, dict):
        return False
    return data.get("source") == source and (kind is None or data.get("type") == kind)


def _is_console_error(item: dict[str, Any]) -> bool:
    data = item.get("data")
    if item.get("type") != _PLUGIN or not isinstance(data, dict):
        return False
    payload = data.get("payload")
    level = payload.get("level") if isinstance(payload, dict) else None
    return data.get("plugin") == _CONSOLE and level == "error"


def _href(item: dict[str, Any]) -> str | None:
    data = item.get("data")
    href = data.get("href") if item.get("type") == _META and isinstance(data, dict) else None
    return href if isinstance(href, str) else None

"""An event as the bytes that leave.

Owns the JSON text and its size limit. Never looks inside. One invariant: the text is valid UTF-8,
so one bad character costs itself and not the batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from posthog_convex.events.properties import EventError

#: 900 KiB, where the official SDKs stop: PostHog refuses events of 1 MB.
MAX_EVENT_BYTES = 900 * 1024


class TooLarge(EventError):
    """An event that PostHog would refuse for its size."""


def to_json(event: Mapping[str, Any]) -> str:
    """The compact JSON text of an event. Raises `TooLarge`."""
    try:
        text = _encode(event).decode()
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError):
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    size = len(text)
    if not text.isascii():
        # Half of a surrogate pair has no UTF-8 form.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        size = len(text.encode())
    if size > MAX_EVENT_BYTES:
        raise TooLarge(
            f"event {event.get('event')!r} is {size} bytes, more than the {MAX_EVENT_BYTES} that "
            "PostHog takes: send less in its properties"
        )
    return text


#: Ten times as fast as `json`, and refuses halves of surrogate pairs.
_encode = msgspec.json.Encoder().encode

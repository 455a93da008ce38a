"""`/i/v0/ai`: one AI event as multipart form data, its large values as parts of their own.

Owns the parts' rules: `event` first, then `event.properties` or properties inside `event`, then
`event.properties.<name>` for what is large. Does no I/O; a request is taken whole or refused whole.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from typing import Any

import msgspec

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.compression import unpack
from posthog_local.ingest.decode import parse_json
from posthog_local.ingest.event import Intake
from posthog_local.ingest.shapes import Receipt, read_events

MAX_EVENT_BYTES = 32 * 1024
MAX_PROPERTIES_BYTES = 960 * 1024
_EVENT, _PROPERTIES, _BLOB = "event", "event.properties", "event.properties."
_BOUNDARY = re.compile(r'boundary="?([^";,]{1,70})"?', re.IGNORECASE)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the form."""

    name: str
    content_type: str
    encoding: str
    body: bytes

    def value(self) -> Any:
        """What the part holds: JSON, text, or bytes as base64."""
        body = unpack(self.body, self.encoding)
        if self.content_type.startswith("application/json"):
            return parse_json(body)
        if self.content_type.startswith("text/"):
            return body.decode("utf-8", "replace")
        return base64.b64encode(body).decode()


def read_ai_event(parts: list[Part], token: str, receipt: Receipt) -> Intake:
    """The event of a form; `Refusal` 400 when the form does not keep to the rules."""
    if not parts or parts[0].name != _EVENT:
        raise Refusal(400, "the first part must be named event")
    event = _json(parts[0], MAX_EVENT_BYTES)
    properties, blobs = event.get("properties"), dict[str, Any]()
    for part in parts[1:]:
        if part.name == _PROPERTIES:
            if properties is not None:
                raise Refusal(400, "properties stand in event or in event.properties, not in both")
            properties = _json(part, MAX_PROPERTIES_BYTES)
        elif part.name.startswith(_BLOB) and part.name != _BLOB:
            name = part.name.removeprefix(_BLOB)
            if name in blobs:
                raise Refusal(400, f"the part {part.name} stands twice")
            blobs[name] = part.value()
        else:
            raise Refusal(400, f"there is no part {part.name!r} in an AI event")
    if not str(event.get("event") or "").startswith("$ai_"):
        raise Refusal(400, "the name of an AI event begins with $ai_")
    if not isinstance(properties, dict | None):
        raise Refusal(400, "properties must be a JSON object")
    whole = {**event, "properties": {**(properties or {}), **blobs}, "api_key": token}
    return read_events(whole, receipt)


def read_parts(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form, in their order."""
    boundary = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/form-data") or boundary is None:
        raise Refusal(400, "send multipart/form-data with a boundary")
    return list(_parts(body, b"--" + boundary[1].encode("latin-1", "replace")))


def _parts(body: bytes, mark: bytes) -> Iterator[Part]:
    if not body.startswith(mark):
        raise Refusal(400, "the form does not begin with its boundary")
    pieces = body.removeprefix(mark).split(b"\r\n" + mark)
    if not pieces[-1].startswith(b"--"):
        raise Refusal(400, "the form ends too early")
    for piece in pieces[:-1]:
        head, found, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = HeaderParser().parsestr(head.decode("latin-1"))
        name = _name(headers)
        if not found or not name:
            raise Refusal(400, "every part needs a name and a body")
        yield Part(
            name=name,
            content_type=headers.get("content-type", "text/plain").lower(),
            encoding=headers.get("content-encoding", ""),
            body=content,
        )


def _name(headers: Message) -> str:
    name = headers.get_param("name", "", "content-disposition")
    return name if isinstance(name, str) else ""


def _json(part: Part, max_bytes: int) -> dict[str, Any]:
    body = unpack(part.body, part.encoding)
    if len(body) > max_bytes:
        raise Refusal(413, f"the part {part.name} is larger than {max_bytes} bytes")
    value = parse_json(body)
    if not isinstance(value, dict):
        raise Refusal(400, f"the part {part.name} must be a JSON object")
    return value

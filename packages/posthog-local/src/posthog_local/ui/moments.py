"""What happened during a recording: pages, events, console lines and log lines, in order.

Owns what of a recording is worth a line beside the player, and when it was. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from posthog_local.store.reader import StoredEvent
from posthog_local.store.shelves.logs import StoredLog

_META, _PLUGIN, _CONSOLE = 4, 6, "rrweb/console@1"
MAX_MOMENTS = 300
_MAX_CHARACTERS = 200


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One line: when, of which kind (page, event, a console's or a log's severity), and what."""

    at_ms: float
    kind: str
    text: str


def moments(
    session_id: str,
    items: Sequence[dict[str, Any]],
    events: Sequence[StoredEvent],
    logs: Sequence[StoredLog],
) -> list[Moment]:
    """The first moments of a session, the earliest first."""
    found = list(_of_items(items))
    found += [
        Moment(at_ms=one.timestamp_us / 1000, kind="event", text=_event(one))
        for one in events
        if one.session_id == session_id
    ]
    found += [
        Moment(at_ms=one.record.timestamp_us / 1000, kind=one.record.severity, text=one.record.body)
        for one in logs
        if one.record.session_id == session_id
    ]
    return [_short(one) for one in sorted(found, key=lambda one: one.at_ms)[:MAX_MOMENTS]]


def _of_items(items: Sequence[dict[str, Any]]) -> Iterator[Moment]:
    for item in items:
        at, data = item.get("timestamp"), item.get("data")
        if not isinstance(at, int | float) or not 0 <= at < 1e15 or not isinstance(data, dict):
            continue
        if item.get("type") == _META and isinstance(data.get("href"), str):
            yield Moment(at_ms=at, kind="page", text=data["href"])
        elif item.get("type") == _PLUGIN and data.get("plugin") == _CONSOLE:
            yield _console(at, data.get("payload"))


def _console(at_ms: float, payload: object) -> Moment:
    said = payload if isinstance(payload, dict) else {}
    level, parts = said.get("level"), said.get("payload")
    words = [str(part) for part in parts] if isinstance(parts, list) else []
    return Moment(
        at_ms=at_ms,
        kind=f"console {level}" if isinstance(level, str) else "console",
        text=" ".join(words),
    )


def _event(event: StoredEvent) -> str:
    properties = event.properties
    values = properties.get("$exception_values")
    said = values[0] if isinstance(values, list) and values else None
    if event.event == "$autocapture":  # of which there are many: what was clicked, or changed
        said = properties.get("$el_text")
    elif event.event == "$pageview":
        said = properties.get("$pathname")
    return f"{event.event}: {said}" if isinstance(said, str) and said else event.event


def _short(one: Moment) -> Moment:
    if len(one.text) <= _MAX_CHARACTERS:
        return one
    return msgspec.structs.replace(one, text=one.text[: _MAX_CHARACTERS - 1] + "…")

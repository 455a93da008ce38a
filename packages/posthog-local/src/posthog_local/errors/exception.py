"""An `$exception` event as PostHog's error tracking leaves it: resolved, described, fingerprinted.

Owns that transformation, as a pure function over the event's properties. An event that cannot be
processed is kept with its reason in `$cymbal_errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from posthog_local.errors import fingerprint, frames

MAX_MESSAGE_CHARACTERS = 10_000


class ProcessedException(msgspec.Struct, frozen=True, kw_only=True):
    """The event's new properties, and what its issue is called; no fingerprint means no issue."""

    properties: dict[str, Any]
    fingerprint: str | None = None
    name: str = ""
    description: str = ""


def process(properties: Mapping[str, Any], new_uuid: Callable[[], str]) -> ProcessedException:
    """Resolves the exception list and works out the fingerprint of its issue."""
    raw = properties.get("$exception_list")
    if not isinstance(raw, list) or not raw or not all(isinstance(one, dict) for one in raw):
        reason = "$exception_list is empty or missing"
        return ProcessedException(properties={**properties, "$cymbal_errors": [reason]})
    exceptions = [_exception(one, new_uuid) for one in raw]
    given = _text(properties.get("$exception_fingerprint"))
    chosen, record = fingerprint.own(given) if given else fingerprint.fingerprint(exceptions)
    told = {} if given else {"$exception_fingerprint_version": fingerprint.VERSION}
    handled = _object(exceptions[0].get("mechanism")).get("handled")
    return ProcessedException(
        fingerprint=chosen,
        name=_text(properties.get("$issue_name")) or exceptions[0]["type"],
        description=_text(properties.get("$issue_description")) or exceptions[0]["value"],
        properties={
            **properties,
            "$exception_list": exceptions,
            "$exception_types": _unique(one["type"] for one in exceptions),
            "$exception_values": _unique(one["value"] for one in exceptions),
            "$exception_sources": _unique(frame["source"] for frame in _in_app(exceptions)),
            "$exception_functions": _unique(
                frame["resolved_name"] or frame["mangled_name"] for frame in _in_app(exceptions)
            ),
            "$exception_handled": handled is True,
            "$exception_fingerprint": chosen,
            **told,
            "$exception_fingerprint_record": record,
        },
    )


def _exception(raw: Mapping[str, Any], new_uuid: Callable[[], str]) -> dict[str, Any]:
    message = _text(raw.get("value"))
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = message[:MAX_MESSAGE_CHARACTERS] + "..."
    exception = {**raw, "id": new_uuid(), "type": _text(raw.get("type")) or "Error"}
    exception["value"] = message
    raw_frames = _object(raw.get("stacktrace")).get("frames")
    if isinstance(raw_frames, list):
        resolved = [frames.resolve(one) for one in raw_frames if isinstance(one, dict)]
        exception["stacktrace"] = {"type": "resolved", "frames": resolved}
    else:
        exception.pop("stacktrace", None)
    return exception


def _in_app(exceptions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for one in exceptions for frame in _frames(one) if frame["in_app"]]


def _frames(exception: Mapping[str, Any]) -> list[dict[str, Any]]:
    stacktrace = exception.get("stacktrace")
    return [] if stacktrace is None else list(stacktrace["frames"])


def _unique(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

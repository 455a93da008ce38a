"""Events that are made smaller rather than refused.

Owns what an error's event and an exposure can do without, in which order. Never touches what the
app itself has put into an event. One invariant: what fits is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from posthog_convex.events.builders import Event
from posthog_convex.events.json_text import to_json
from posthog_convex.events.properties import EventError

#: What is left of an error that is too large: the errors and frames nearest to what happened.
FEW_FRAMES = 20
FEW_ERRORS = 5


def exception_text(event: Event) -> str:
    """An error's event as JSON text, with fewer source lines and frames where it is too large.

    Raises `EventError` when it is so without them.
    """
    for step in (_as_it_is, _without_surroundings, _with_few_frames):
        try:
            return to_json(_with_list(event, step))
        except EventError:
            continue
    return to_json(_with_list(event, _with_few_errors))


def exposure_text(event: Event) -> str:
    """An exposure as JSON text, without the flag's payload where it is too large."""
    try:
        return to_json(event)
    except EventError:
        properties = {**event["properties"]}
        properties.pop("$feature_flag_payload", None)
        return to_json(event | {"properties": properties})


Entries = list[dict[str, Any]]


def _with_list(event: Event, step: Callable[[Entries], Entries]) -> Event:
    properties = event["properties"]
    if "$exception_list" not in properties:
        return event  # a hook took it
    shorter = step(properties["$exception_list"] or [])
    return event | {"properties": properties | {"$exception_list": shorter}}


def _as_it_is(entries: Entries) -> Entries:
    return entries


def _without_surroundings(entries: Entries) -> Entries:
    left_out = ("pre_context", "post_context", "code_variables")
    return _frames(
        entries, lambda fs: [{k: v for k, v in f.items() if k not in left_out} for f in fs]
    )


def _with_few_frames(entries: Entries) -> Entries:
    return _frames(_without_surroundings(entries), lambda frames: frames[-FEW_FRAMES:])


def _with_few_errors(entries: Entries) -> Entries:
    return _with_few_frames(entries[:FEW_ERRORS])


def _frames(entries: Entries, change: Callable[[Entries], Entries]) -> Entries:
    return [
        entry | {"stacktrace": stack | {"frames": change(stack.get("frames") or [])}}
        if isinstance(stack := entry.get("stacktrace"), dict)
        else entry
        for entry in entries
    ]

"""An `$ai_*` event as PostHog leaves it, whoever sent it: ids as text, parameters and tools named.

Owns these rules; costs come after. Pure, and what the caller said always stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_PARAMETERS = {
    "temperature": "$ai_temperature",
    "stream": "$ai_stream",
    "max_tokens": "$ai_max_tokens",
    "max_completion_tokens": "$ai_max_tokens",
}
_IDS = ("$ai_trace_id", "$ai_span_id", "$ai_parent_id", "$ai_session_id", "$ai_generation_id")


def normalised(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The event's properties, with what follows from them.

    >>> normalised({"$ai_trace_id": 5, "$ai_model_parameters": {"stream": True}})["$ai_stream"]
    True
    """
    found: dict[str, Any] = {}
    parameters = properties.get("$ai_model_parameters")
    if isinstance(parameters, dict):
        found = {name: parameters[key] for key, name in _PARAMETERS.items() if key in parameters}
    called = list(_called(properties.get("$ai_output_choices")))
    if called:
        found |= {"$ai_tools_called": ",".join(called), "$ai_tool_call_count": len(called)}
    ids = {name: _text(properties[name]) for name in _IDS if properties.get(name) is not None}
    return {**found, **properties, **ids}


def _called(value: object) -> Iterator[str]:
    """The names of the tools that an answer calls, in their order."""
    for message in value if isinstance(value, list) else []:
        if not isinstance(message, dict):
            continue
        for place in ("content", "parts", "tool_calls"):
            calls = message.get(place)
            for call in calls if isinstance(calls, list) else []:
                name = _name(call)
                if name:
                    yield name


def _name(call: object) -> str | None:
    if not isinstance(call, dict):
        return None
    if call.get("type") not in ("function", "tool_call", "tool-call", "tool_use", None):
        return None
    function = call.get("function")
    holder = function if isinstance(function, dict) else call
    name = holder.get("name") or holder.get("toolName")
    return name if isinstance(name, str) and name else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

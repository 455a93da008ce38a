"""What each framework's spans hold beside the shared conventions.

Owns those attributes: the Vercel AI SDK's function ids and metadata, pydantic-ai's agent runs,
traceloop's tools. What a framework does not write, its event does not have.
"""

from __future__ import annotations

import re
from typing import Any

from posthog_local.traces.messages import parsed
from posthog_local.traces.span import Dialect, Span

_METADATA = "ai.telemetry.metadata."
# Those that have a property of their own.
_MAPPED = frozenset(
    ["posthog_distinct_id", "$ai_session_id", "$ai_prompt_name", "$ai_prompt_version", "$groups"]
)
_FUNCTION = re.compile(r"llm\.request\.functions\.(\d{1,4})\.(name|description|parameters)")
_CACHE_DETAILS = ("ai.usage.cachedInputTokens", "ai.usage.inputTokenDetails.cacheReadTokens")


def framework_properties(span: Span) -> dict[str, Any]:
    """The event's properties that only this framework's spans have."""
    match span.dialect:
        case Dialect.VERCEL:
            return _vercel(span)
        case Dialect.PYDANTIC_AI:
            return _pydantic(span)
        case Dialect.TRACELOOP:
            return _traceloop(span)
    return {}


def _vercel(span: Span) -> dict[str, Any]:
    function = span.first("ai.telemetry.functionId")
    eve = any(name.startswith("eve.") for name in span.attributes)
    found = {
        name.removeprefix(_METADATA): value
        for name, value in span.attributes.items()
        if name.startswith(_METADATA) and name.removeprefix(_METADATA) not in _MAPPED
    }
    found |= {"functionId": function, "$ai_framework": "eve" if eve else "vercel"}
    if isinstance(function, str) and not span.parent_id:
        found["$ai_span_name"] = function
    if any(name in span.attributes for name in _CACHE_DETAILS):
        # Its count of input tokens holds the cached ones.
        found["$ai_cache_reporting_exclusive"] = False
    return found


def _pydantic(span: Span) -> dict[str, Any]:
    """An agent's run begins with what the user said."""
    messages = parsed(span.first("pydantic_ai.all_messages"))
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") == "user":
            content = next(
                (message[name] for name in ("content", "parts") if name in message), None
            )
            return {"$ai_input_state": content}
    return {}


def _traceloop(span: Span) -> dict[str, Any]:
    functions: dict[int, dict[str, Any]] = {}
    for name, value in span.attributes.items():
        if (match := _FUNCTION.fullmatch(name)) is not None:
            functions.setdefault(int(match[1]), {})[match[2]] = parsed(value)
    tools = [{"type": "function", "function": functions[number]} for number in sorted(functions)]
    return {
        "$ai_tools": tools or None,
        "$ai_stop_reason": span.first("gen_ai.completion.0.finish_reason"),
    }

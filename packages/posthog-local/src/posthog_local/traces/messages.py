"""What went into a model and what came out, from the places where instrumentations put it.

Owns those places, newest convention first. Everything ends as PostHog's message lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from posthog_local.traces.span import Dialect, Span

_NUMBERED = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,4})\.(.+)")
_TOOL_CALL = re.compile(r"tool_calls\.(\d{1,4})\.(id|name|arguments)")
_ROLE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def parsed(value: object) -> Any:
    """JSON text as what it says; everything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        return value


def model_input(span: Span) -> Any:
    """The messages that the model got; None when the span has none."""
    found = parsed(span.first("gen_ai.input.messages"))
    if found is None and span.dialect is Dialect.VERCEL:
        found = _vercel_input(span)
    if found is None:
        found = _numbered(span.attributes, "prompt") or _from_events(span) or None
    system = parsed(span.first("gen_ai.system_instructions"))
    if system is not None:
        rest = found if isinstance(found, list) else [found] if found is not None else []
        return [{"role": "system", "content": system}, *rest]
    return found


def model_output(span: Span) -> Any:
    """The messages that the model gave; None when the span has none."""
    found = parsed(span.first("gen_ai.output.messages"))
    if found is None and span.dialect is Dialect.VERCEL:
        found = _vercel_output(span)
    if found is None:
        found = _numbered(span.attributes, "completion") or _choices(span) or None
    return found


def _vercel_input(span: Span) -> Any:
    messages = parsed(span.first("ai.prompt.messages"))
    if messages is not None:
        return messages
    prompt = parsed(span.first("ai.prompt"))
    if not isinstance(prompt, dict):
        return None if prompt is None else [{"role": "user", "content": prompt}]
    system = [{"role": "system", "content": prompt["system"]}] if prompt.get("system") else []
    if isinstance(prompt.get("messages"), list):
        return [*system, *prompt["messages"]]
    return [*system, {"role": "user", "content": prompt.get("prompt")}]


def _vercel_output(span: Span) -> Any:
    content: list[Any] = []
    if (text := span.first("ai.response.text")) is not None:
        content.append({"type": "text", "text": text})
    if (value := span.first("ai.response.object")) is not None:
        content.append({"type": "text", "text": value})
    calls = parsed(span.first("ai.response.toolCalls"))
    for call in calls if isinstance(calls, list) else []:
        if isinstance(call, dict):
            function = {
                "name": call.get("toolName"),
                "arguments": call.get("input", call.get("args")),
            }
            content.append({"type": "function", "id": call.get("toolCallId"), "function": function})
    return [{"role": "assistant", "content": content}] if content else None


def _numbered(attributes: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """`gen_ai.prompt.0.role` and its like, as lists of messages."""
    messages: dict[int, dict[str, Any]] = {}
    calls: dict[int, dict[int, dict[str, Any]]] = {}
    for name, value in attributes.items():
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1] != kind:
            continue
        number, field = int(match[2]), match[3]
        message = messages.setdefault(number, {})
        if (call := _TOOL_CALL.fullmatch(field)) is not None:
            calls.setdefault(number, {}).setdefault(int(call[1]), {})[call[2]] = value
        else:
            message[field] = parsed(value) if field == "content" else value
    for number, of_message in calls.items():
        listed = [_function(of_message[position]) for position in sorted(of_message)]
        messages[number]["tool_calls"] = listed
    return [messages[number] for number in sorted(messages)]


def _function(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call.get("name"), "arguments": call.get("arguments")}
    return {"type": "function", "id": call.get("id"), "function": function}


def _from_events(span: Span) -> list[dict[str, Any]]:
    return [
        {"role": _ROLE_EVENTS[event.name], **_content(event.attributes)}
        for event in span.events
        if event.name in _ROLE_EVENTS
    ]


def _choices(span: Span) -> list[dict[str, Any]] | None:
    found = [
        {"role": "assistant", **_content(event.attributes)}
        for event in span.events
        if event.name == "gen_ai.choice"
    ]
    return found or None


def _content(attributes: Mapping[str, Any]) -> dict[str, Any]:
    message = parsed(attributes.get("message"))
    if isinstance(message, dict):
        return message
    return {name: parsed(value) for name, value in attributes.items() if name != "gen_ai.system"}

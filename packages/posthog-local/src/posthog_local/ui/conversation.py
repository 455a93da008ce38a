"""What went into a model and came out of it, as turns of a conversation.

Owns the shapes in which messages are sent: plain text, lists of parts, tool calls. What is none of
them is shown as JSON, never left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Who said what; `kind` is text, a tool's call or its result."""

    role: str
    text: str
    kind: str = "text"


def turns(value: object, usual_role: str) -> list[Turn]:
    """The turns of a value; text alone is one turn.

    >>> [(one.role, one.text) for one in turns([{"role": "user", "content": "soft?"}], "user")]
    [('user', 'soft?')]
    """
    if value is None or value == [] or value == "":
        return []
    messages = value if isinstance(value, list) else [value]
    return [turn for message in messages for turn in _turns(message, usual_role)]


def _turns(message: object, usual_role: str) -> Iterator[Turn]:
    if not isinstance(message, dict):
        yield Turn(role=usual_role, text=_text(message))
        return
    inner = message.get("message")
    if isinstance(inner, dict) and "role" not in message:  # a choice that wraps its message
        message = inner
    role = message.get("role")
    role = role if isinstance(role, str) and role else usual_role
    content = next((message[name] for name in ("content", "parts") if message.get(name)), None)
    calls = message.get("tool_calls")
    if content is None and not calls:
        yield Turn(role=role, text=_text(message))
        return
    for part in content if isinstance(content, list) else [content]:
        if part is not None:
            yield _part(part, role)
    for call in calls if isinstance(calls, list) else []:
        yield _call(call, role)


def _part(part: object, role: str) -> Turn:
    if not isinstance(part, dict):
        return Turn(role=role, text=_text(part))
    if part.get("type") in ("function", "tool_call", "tool-call", "tool_use"):
        return _call(part, role)
    if part.get("type") in ("tool_call_response", "tool-result", "tool_result"):
        result = next(
            (part[n] for n in ("response", "result", "content", "output") if n in part), part
        )
        return Turn(role=role, text=_text(result), kind="result")
    for name in ("text", "content"):
        if isinstance(part.get(name), str):
            return Turn(role=role, text=part[name])
    return Turn(role=role, text=_text(part))


def _call(call: object, role: str) -> Turn:
    if not isinstance(call, dict):
        return Turn(role=role, text=_text(call), kind="call")
    function = call.get("function")
    function = function if isinstance(function, dict) else call
    name = next((str(function[n]) for n in ("name", "toolName") if function.get(n)), "a tool")
    given = next((function[n] for n in ("arguments", "args", "input") if n in function), None)
    arguments = "" if given is None else _text(given)
    return Turn(role=role, text=f"{name}({arguments})", kind="call")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()

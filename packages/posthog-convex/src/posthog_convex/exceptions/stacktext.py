"""An error as the text that a log has of it: type, message, and a line for each call.

Owns reading that text, of JavaScript and of Python functions. Never guesses: a line that is no
frame is not one, and text without a stack is a message. One invariant: frames come out as PostHog
reads them, the entry point first and the line that raised last; in the text it is the other way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from posthog_convex.exceptions.entries import MAX_VALUE_CHARS, Description, Entry
from posthog_convex.exceptions.frames import MAX_FRAMES, Frame

#: `at fn (file:line:column)`, with or without column, name and "async".
_FRAME = re.compile(
    r"^\s+at (?:async )?(?:(?P<function>[^()\n]+?) \((?P<file>[^()\n]+?):(?P<line>\d+)"
    r"(?::(?P<column>\d+))?\)|(?P<bare>[^\s()]+?):(?P<bare_line>\d+)(?::(?P<bare_column>\d+))?)$"
)
_HEAD = re.compile(r"^Uncaught (?:\(in promise\) )?(?P<type>[A-Za-z_$][\w$.]*)(?:: ?|$)")
_PLAIN_HEAD = re.compile(r"^(?P<type>[A-Za-z_$][\w$.]*(?:Error|Exception)): ")
#: Code of others, by what its path holds.
_NOT_OURS = ("node_modules/", "site-packages/", "dist-packages/", "node:", "convex:")
#: What a `ConvexError` is raised for: telling the caller.
MEANT = "ConvexError"


def described_by_text(text: str) -> Description:
    """The `$exception_list` of an error that only its text is known of.

    >>> [entry] = described_by_text('''Uncaught TypeError: x is not a function
    ...     at send (../convex/messages.ts:12:5)
    ...     at handler (../convex/messages.ts:30:9)''')
    >>> entry["type"], entry["value"]
    ('TypeError', 'x is not a function')
    >>> [(frame["function"], frame["lineno"]) for frame in entry["stacktrace"]["frames"]]
    [('handler', 30), ('send', 12)]
    """
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if _FRAME.match(line)), len(lines))
    kind, message = _head("\n".join(lines[:first]).strip())
    entry: Entry = {
        "type": kind,
        "value": message,
        "mechanism": {
            "type": "generic",
            "handled": kind.endswith(MEANT),
            "exception_id": 0,
            "synthetic": False,
        },
    }
    # Without a stack there must be no stacktrace: errors with an empty one fall into one issue.
    if frames := _frames(lines[first:]):
        entry["stacktrace"] = {"type": "raw", "frames": frames}
    return [entry]


def _head(text: str) -> tuple[str, str]:
    found = _HEAD.match(text) or _PLAIN_HEAD.match(text)
    kind = found["type"].rpartition(".")[2] if found else "Error"
    message = text[found.end() :] if found else text
    if len(message) > MAX_VALUE_CHARS:
        message = message[: MAX_VALUE_CHARS - 3] + "..."
    return kind, message


def _frames(lines: Sequence[str]) -> list[Frame]:
    found = [_frame(match) for line in lines if (match := _FRAME.match(line))]
    return found[:MAX_FRAMES][::-1]


def _frame(match: re.Match[str]) -> dict[str, Any]:
    path = match["file"] or match["bare"]
    column = match["column"] or match["bare_column"]
    name = match["function"]
    made: dict[str, Any] = {
        "filename": _filename(path),
        "abs_path": path,
        "function": name or "<anonymous>",
        "lineno": int(match["line"] or match["bare_line"]),
        "in_app": not any(mark in path for mark in _NOT_OURS),
    }
    if column:
        made["colno"] = int(column)
    if path.endswith(".py"):
        return {"platform": "python"} | made
    # Convex has put source maps to use already.
    return {"platform": "custom", "lang": "javascript", "resolved": True} | made


def _filename(path: str) -> str:
    """The path from the project's folder on, so that it is the same on every machine.

    >>> _filename("../convex/messages.ts")
    'convex/messages.ts'
    """
    while path.startswith("../"):
        path = path[3:]
    return path

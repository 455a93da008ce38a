"""What makes two exceptions one issue, as PostHog's newest way of telling has it (its "v2").

Owns the fingerprint and the record of what went into it. Never looks at whose code a frame is: that
may be judged otherwise on another machine. One invariant: what changes from build to build or from
call to call (folders, hashes in names, line numbers of unresolved frames; in messages: what is
quoted, ids, numbers) makes no other issue.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

#: The name that events bear of it.
VERSION = "v2"
# A longer fingerprint of the caller's own is hashed, so that it fits an index.
_MAX_OWN = 64
_MAX_MESSAGE = 200
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_ID = re.compile(
    r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|[0-9a-fA-F]{16,}"
)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_TOKEN = re.compile(r"[A-Za-z0-9]{8,}")

Record = list[dict[str, Any]]


def fingerprint(exceptions: Sequence[Mapping[str, Any]]) -> tuple[str, Record]:
    """The fingerprint of resolved exceptions, and what each of them gave to it.

    Of one without a stack the message counts; a stack that is there counts, also an empty one.
    """
    digest, record = hashlib.sha512(), Record()

    def add(text: str) -> None:
        digest.update(text.encode("utf-8", "replace"))

    for exception in exceptions:
        add(exception["type"])
        stack = exception.get("stacktrace")
        pieces = ["Exception Type"]
        if stack is None:
            add(masked(exception["value"]))
            pieces.append("Exception Message")
        record.append({"type": "exception", "id": exception["id"], "pieces": pieces})
        for frame in stack["frames"] if stack else ():
            parts = _parts(frame)
            for text in parts.values():
                add(text)
            record.append({"type": "frame", "raw_id": frame["raw_id"], "pieces": list(parts)})
    return digest.hexdigest(), record


def own(given: str) -> tuple[str, Record]:
    """The fingerprint that the caller chose."""
    if len(given) > _MAX_OWN:
        given = hashlib.sha512(given.encode("utf-8", "replace")).hexdigest()
    return given, [{"type": "manual"}]


def masked(message: str) -> str:
    """A message without what differs from call to call.

    >>> masked("'ada' has 3 of 4.5 in 0x7f")
    "'*' has # of # in *"
    """
    message = _ID.sub("*", _QUOTED.sub("'*'", message))
    return _NUMBER.sub("#", message)[:_MAX_MESSAGE]


def stable_source(source: str) -> str:
    """A file's name without its folder, and without what a build put into it.

    >>> stable_source("https://shop.example/static/chunk-PGUQKT6S.js?v=3")
    'chunk-*.js'
    """
    name = re.split(r"[/\\]", source.partition("?")[0])[-1]
    return _TOKEN.sub(lambda found: "*" if _NUMBER.search(found[0]) else found[0], name)


def _parts(frame: Mapping[str, Any]) -> dict[str, str]:
    """What of a frame counts, by what it is called in the record."""
    parts: dict[str, str] = {}
    if frame["source"]:
        parts["Source file name"] = stable_source(frame["source"])
    if frame["module"]:
        parts["Module name"] = frame["module"].partition("?")[0]
    if frame["resolved_name"]:
        return parts | {"Resolved function name": frame["resolved_name"]}
    return parts | {"Mangled function name": frame["mangled_name"], "Language": frame["lang"]}

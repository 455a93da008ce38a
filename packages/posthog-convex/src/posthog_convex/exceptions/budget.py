"""How many errors are sent: a share of all, and so many a minute of the same.

Owns that decision and the count of what it left out. Never reads a clock. One invariant: whether an
error is in the sample follows from its uuid, so whoever decides, however often, says the same.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

_MINUTE_S = 60.0
#: Kinds of errors that are remembered; the one that was quiet for longest goes first.
MAX_KINDS = 10_000
LEFT_OUT = "convex_errors_left_out"
_QUOTED = re.compile(r"(?<!\w)(?:'[^']*'|`[^`]*`|\"[^\"]*\")")
_WORD = re.compile(r"[\w-]+")


class Budget:
    """Lets errors through; without arguments, all of them.

    >>> budget = Budget(per_minute=1)
    >>> uuid = "018fd3ab-c200-7000-8000-000000000005"
    >>> [budget.decide(uuid, "same", now_s) for now_s in (0.0, 1.0, 2.0, 61.0)]
    [0, None, None, 2]
    >>> budget.left_out
    2
    """

    def __init__(
        self,
        *,
        sample_rate: float = 1.0,
        per_minute: float | None = None,
        at_once: int | None = None,
    ) -> None:
        self._sample_rate = sample_rate
        self._per_minute = per_minute
        #: Of one kind that was quiet: as many as a minute has, if left out.
        self._at_once = float(per_minute or 0) if at_once is None else float(at_once)
        self._kinds: OrderedDict[str, _Kind] = OrderedDict()
        #: Errors that were not let through.
        self.left_out = 0

    def decide(self, uuid: str, kind: str, now_s: float) -> int | None:
        """None for an error that is left out; otherwise send it, and it is told how many of its
        kind were left out since the last one."""
        known = self._kinds.pop(kind, None) or _Kind(self._at_once, now_s)
        self._kinds[kind] = known
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)
        if in_sample(uuid, self._sample_rate) and self._has_room(known, now_s):
            before, known.left_out = known.left_out, 0
            return before
        known.left_out += 1
        self.left_out += 1
        return None

    def _has_room(self, known: _Kind, now_s: float) -> bool:
        if self._per_minute is None:
            return True
        if now_s < known.since_s - _MINUTE_S:
            known.since_s = now_s  # the clock was set back, and must not stop everything until then
        passed_s = max(0.0, now_s - known.since_s)
        known.room = min(self._at_once, known.room + passed_s * self._per_minute / _MINUTE_S)
        known.since_s = max(now_s, known.since_s)
        if known.room < 1.0:
            return False
        known.room -= 1.0
        return True


class _Kind(msgspec.Struct):
    """What is known of errors of one kind."""

    #: How many may be sent now, and when that was so.
    room: float
    since_s: float
    #: Since the last one that was sent.
    left_out: int = 0


def in_sample(uuid: str, rate: float) -> bool:
    """Whether an error belongs to a sample of this share.

    >>> in_sample("018fd3ab-c200-7000-8000-000000000005", 0.0)
    False
    """
    if rate >= 1.0:
        return True
    digest = blake2b(UUID(uuid).bytes, digest_size=8).digest()
    return int.from_bytes(digest) < rate * 2**64


def told_of_left_out(event: dict[str, Any], left_out: int) -> dict[str, Any]:
    """The error's event, saying how many of its kind were left out since the last one."""
    if not left_out:
        return event
    return event | {"properties": {LEFT_OUT: left_out} | event["properties"]}


def kind_of(entries: Sequence[dict[str, Any]]) -> str:
    """What errors of one kind have in common: types, and the app's functions that they went
    through; where there are no frames the first lines of the messages, but for numbers, ids and
    what is quoted: whoever makes up names makes no new kind.

    >>> timeouts = [{"type": "Error", "value": f"order {n} took {n}0 ms"} for n in (7, 12)]
    >>> len({kind_of([entry]) for entry in timeouts})
    1
    """
    told: list[Any] = []
    for entry in entries:
        stack = entry.get("stacktrace") or {}
        frames = [
            (frame.get("filename"), frame.get("function"))
            for frame in stack.get("frames") or []
            if frame.get("in_app")
        ]
        told.append((entry.get("type"), frames or _common(entry.get("value") or "")))
    return blake2b(msgspec.json.encode(told), digest_size=16).hexdigest()


def _common(message: str) -> str:
    """What the message has in common with others that say the same of something else."""
    line = _QUOTED.sub("#", message.partition("\n")[0])
    return _WORD.sub(lambda word: "#" if any(map(str.isdigit, word[0])) else word[0], line)

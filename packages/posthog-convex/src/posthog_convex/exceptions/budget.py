"""How many errors are sent: a share of all, and so many a minute of the same.

Owns that decision and the count of what it left out. Never reads a clock. One invariant: whether an
error is in the sample follows from its uuid, so whoever decides, however often, says the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

_MINUTE_S = 60.0
#: Kinds of errors that are remembered; the one that was quiet for longest goes first.
MAX_KINDS = 10_000


class Budget:
    """Lets errors through; without arguments, all of them.

    >>> budget = Budget(per_minute=1)
    >>> uuid = "018fd3ab-c200-7000-8000-000000000005"
    >>> [budget.admits(uuid, "same", now_s) for now_s in (0.0, 1.0, 61.0)]
    [True, False, True]
    >>> budget.left_out
    1
    """

    def __init__(self, *, sample_rate: float = 1.0, per_minute: int | None = None) -> None:
        self._sample_rate = sample_rate
        self._per_minute = per_minute
        #: Errors left of each kind, and when that was so.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        #: Errors that were not let through.
        self.left_out = 0

    def admits(self, uuid: str, kind: str, now_s: float) -> bool:
        """Whether to send this error; counted as left out when not."""
        admitted = in_sample(uuid, self._sample_rate) and self._has_room(kind, now_s)
        self.left_out += not admitted
        return admitted

    def _has_room(self, kind: str, now_s: float) -> bool:
        if self._per_minute is None:
            return True
        most = float(self._per_minute)
        left, since = self._left.pop(kind, (most, now_s))
        left = min(most, left + max(0.0, now_s - since) * most / _MINUTE_S)
        admitted = left >= 1.0
        self._left[kind] = (left - admitted, now_s)
        if len(self._left) > MAX_KINDS:
            self._left.popitem(last=False)
        return admitted


def in_sample(uuid: str, rate: float) -> bool:
    """Whether an error belongs to a sample of this share.

    >>> in_sample("018fd3ab-c200-7000-8000-000000000005", 0.0)
    False
    """
    if rate >= 1.0:
        return True
    digest = blake2b(UUID(uuid).bytes, digest_size=8).digest()
    return int.from_bytes(digest) < rate * 2**64


def kind_of(entries: Sequence[dict[str, Any]]) -> str:
    """What errors of one kind have in common: types, and the app's functions that they went
    through; the messages where there are no frames."""
    told: list[Any] = []
    for entry in entries:
        stack = entry.get("stacktrace") or {}
        frames = [
            (frame.get("filename"), frame.get("function"))
            for frame in stack.get("frames") or []
            if frame.get("in_app")
        ]
        told.append((entry.get("type"), frames or entry.get("value")))
    return blake2b(msgspec.json.encode(told), digest_size=16).hexdigest()

"""Faults that a test asks for: error answers, delays, hangs, lost answers, quotas.

Owns which fault meets which request, and how often. Knows no route: a fault names a path prefix,
and the newest one that fits wins. Invariant: a fault with `times` acts exactly that often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to requests under `route`; `times` None means until it is removed."""

    route: str
    times: int | None = None
    status: int | None = None
    body: str = "an injected fault"
    retry_after: int | None = None
    latency_ms: int = 0
    hang: bool = False
    lose_response: bool = False
    quota_limited: bool = False

    def __post_init__(self) -> None:
        if not self.route.startswith("/"):
            raise ValueError("route is a path prefix and begins with /")
        if self.times is not None and self.times < 1:
            raise ValueError("times is at least 1, or null for every request")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status is an HTTP status from 200 to 599")
        acts = self.status or self.latency_ms or self.hang or self.lose_response
        if not acts and not self.quota_limited:
            raise ValueError(
                "say what happens: status, latency_ms, hang, lose_response or quota_limited"
            )


class _Entry:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.hits = 0
        self.removed = asyncio.Event()

    @property
    def spent(self) -> bool:
        return self.fault.times is not None and self.hits >= self.fault.times


class FaultBook:
    """The faults in force."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._last_id = 0

    def add(self, fault: Fault) -> int:
        """Puts a fault in force and gives the number under which it can be removed."""
        self._last_id += 1
        self._entries[self._last_id] = _Entry(fault)
        return self._last_id

    def take(self, path: str) -> Fault | None:
        """The fault that this request meets, counted as one hit; None for a healthy answer."""
        for entry in reversed(self._entries.values()):
            if not entry.spent and _covers(entry.fault.route, path):
                entry.hits += 1
                return entry.fault
        return None

    def list(self) -> list[dict[str, Any]]:
        """Every fault with its number and how often it acted, spent ones included."""
        return [
            {"id": number, "hits": entry.hits, **msgspec.structs.asdict(entry.fault)}
            for number, entry in self._entries.items()
        ]

    def remove(self, number: int | None = None) -> int:
        """Removes one fault, or all, and lets go of what hangs by it. Gives how many."""
        numbers = list(self._entries) if number is None else [number]
        removed = [self._entries.pop(one) for one in numbers if one in self._entries]
        for entry in removed:
            entry.removed.set()
        return len(removed)

    async def hold(
        self, fault: Fault, receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
    ) -> None:
        """Returns when the client has gone or the fault was removed."""
        entry = next((one for one in self._entries.values() if one.fault is fault), None)
        if entry is None:
            return
        waits = [
            asyncio.ensure_future(receive()),
            asyncio.ensure_future(entry.removed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _covers(route: str, path: str) -> bool:
    prefix = route.rstrip("/")
    return path == prefix or path.startswith(prefix + "/")

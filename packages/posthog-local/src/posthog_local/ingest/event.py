"""One accepted event, as every later room reads it.

Owns the shape between the wire and the store. Whoever holds an `IncomingEvent` knows: the distinct
id is non-empty and at most 200 characters, the uuid is canonical, the time is final.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from posthog_local.ingest.warning import IngestionWarning, Note


class IncomingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that will be stored, before persons were worked out.

    `properties` hold what the caller sent, with top-level `$set`, `$set_once` and `$unset` merged
    in. Times are microseconds since 1970.
    """

    uuid: str
    event: str
    distinct_id: str
    timestamp_us: int
    received_us: int
    properties: dict[str, Any]
    # What was rewritten on the way here.
    warnings: tuple[IngestionWarning, ...] = ()


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What one request brought: token, events in order, and notes on those that are dropped."""

    token: str
    events: tuple[IncomingEvent, ...]
    notes: tuple[Note, ...] = ()


class AddEvents(Protocol):
    """A sink that returns once all is durable."""

    def __call__(
        self, events: Sequence[IncomingEvent], notes: Sequence[Note] = ..., /
    ) -> Awaitable[None]: ...


def new_uuid7(now_us: int) -> str:
    """A UUIDv7 of this moment, for events that came without one."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (now_us // 1000) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    return str(UUID(int=value | 0b10 << 62 | random & (1 << 62) - 1))

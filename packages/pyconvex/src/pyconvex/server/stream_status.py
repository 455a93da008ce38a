"""What is told of log streams: settings, state, and how their lanes fare.

Owns these descriptions. Never reads anything itself. One invariant: no description holds what a
field calls a secret.
"""

from __future__ import annotations

from typing import Any

from pyconvex.delivery.messages import LaneStatus
from pyconvex.log_streams.registry import sinks
from pyconvex.server.stream_records import StreamRecord
from pyconvex.server.stream_settings import public_settings


def described(stream: StreamRecord) -> dict[str, Any]:
    """Settings and status, as Convex's API has them."""
    kind = sinks().get(stream.stream_type)
    status: dict[str, Any] = {"type": stream.state}
    if stream.state == "failed":
        status["reason"] = stream.reason
    told: dict[str, Any] = {
        "logStreamType": stream.stream_type,
        "id": stream.id,
        "status": status,
    }
    if kind is not None:
        told |= public_settings(kind, stream.config)
        if kind.topics is None:
            told["topics"] = stream.topics
    return told


def title(stream: StreamRecord) -> str:
    """What people call it."""
    kind = sinks().get(stream.stream_type)
    return stream.stream_type if kind is None else kind.title


def delivery(
    stream: StreamRecord, lane: LaneStatus | None, dropped: int, now_ms: float
) -> dict[str, Any]:
    """How the stream's lane fares; None for one that has not said so yet."""
    if lane is None:
        untold = "starting" if stream.state == "active" else "stopped"
        lane = LaneStatus(component="", lane=stream.id, queue=None, state=untold)
    lag_s = None if lane.oldest_ts is None else max(0.0, now_ms / 1000 - lane.oldest_ts / 1e9)
    return {
        "state": lane.state,
        "circuit": lane.circuit,
        "waiting": lane.in_hand,
        "moreWaiting": lane.more,
        "lagSeconds": lag_s,
        "sent": lane.sent,
        "sentBytes": lane.sent_bytes,
        "failedAttempts": lane.failed,
        "setAside": lane.set_aside,
        "dropped": dropped,
        "lastError": lane.last_error,
    }

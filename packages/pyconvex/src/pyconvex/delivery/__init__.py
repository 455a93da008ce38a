"""Lanes: what carries queue rows and reports out of the host and keeps outside facts fresh.

Owns delivery of everything that leaves: batching, retries, splitting, back-off, and the process
that does it. Never runs app code. One invariant: a row leaves its queue only when its receiver
accepted it or when it was set aside with the reason. This page is what component authors import.
"""

from __future__ import annotations

from pyconvex.delivery.batch import Limits
from pyconvex.delivery.lane import (
    CallFailed,
    LaneContext,
    QueueLane,
    QueueReport,
    RunLogLane,
    TimerLane,
)
from pyconvex.delivery.transport import Request, Response, Transport, Unreachable
from pyconvex.delivery.verdict import (
    Accepted,
    Refused,
    Retry,
    TooLarge,
    Verdict,
    classify,
    retry_after_s,
)
from pyconvex.runlog.entries import RunEntry

__all__ = [
    "Accepted",
    "CallFailed",
    "LaneContext",
    "Limits",
    "QueueLane",
    "QueueReport",
    "Refused",
    "Request",
    "Response",
    "Retry",
    "RunEntry",
    "RunLogLane",
    "TimerLane",
    "TooLarge",
    "Transport",
    "Unreachable",
    "Verdict",
    "classify",
    "retry_after_s",
]

"""When a note of the delivery is written, and what `status` makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from posthog_convex import Status
from posthog_convex.component.delivery_lane import DeliveryLane
from pyconvex.delivery import QueueReport


class Context:
    """A `LaneContext` with a queue as it is told, and a component that keeps notes."""

    def __init__(self) -> None:
        self.report = QueueReport()
        self.note: dict[str, Any] = {}
        self.written = 0
        self.ms = 1000.0

    def queue(self, name: str) -> QueueReport:
        assert name == "events"
        return self.report

    async def run_query(self, path: str, args: Mapping[str, Any]) -> Any:
        assert path == "delivery:noted"
        return json.dumps(self.note) if self.note else None

    async def run_mutation(self, path: str, args: Mapping[str, Any]) -> Any:
        assert path == "delivery:note"
        self.note = json.loads(args["text"])
        self.written += 1

    def now_ms(self) -> float:
        self.ms += 1
        return self.ms

    def jitter(self) -> float:
        return 1.0


def tick(ctx: Context, lane: DeliveryLane | None = None) -> float | None:
    return asyncio.run((lane or DeliveryLane()).tick(ctx))  # type: ignore[arg-type]


def test_an_idle_deployment_stays_idle() -> None:
    ctx = Context()
    assert tick(ctx) is None
    assert ctx.written == 0
    ctx.report = QueueReport(sent=5)
    for _ in range(3):
        assert tick(ctx) is None
    assert ctx.written == 1


def test_while_events_wait_it_looks_again_and_writes_what_is_new() -> None:
    ctx = Context()
    ctx.report = QueueReport(waiting=2, oldest_ms=7.0, sent=5)
    assert tick(ctx) == 2.0
    assert tick(ctx) == 2.0
    assert ctx.written == 1
    ctx.report = QueueReport(waiting=1, oldest_ms=8.0, sent=6)
    assert tick(ctx) == 2.0
    assert ctx.written == 2
    assert ctx.note["at"] == 1003.0


def test_an_error_is_now_or_was_last() -> None:
    ctx = Context()
    ctx.report = QueueReport(waiting=1, oldest_ms=7.0, failing=True, last_error="503")
    tick(ctx)
    assert (ctx.note["error"], ctx.note["lastError"]) == ("503", "503")
    ctx.report = QueueReport(sent=1, last_error="503")
    assert tick(ctx) is None
    assert (ctx.note["error"], ctx.note["lastError"]) == (None, "503")
    written = ctx.written
    # A new process remembers no error; that is nothing to write.
    ctx.report = QueueReport(sent=1)
    assert tick(ctx) is None
    assert ctx.written == written


def moment(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


async def told(app: Any, what: str, **expected: Any) -> dict[str, Any]:
    async def so() -> Any:
        found = await app.call("query", "status")
        return found if expected.items() <= found.items() else None

    found: dict[str, Any] = await app.until(what, so)
    return found


def test_status_counts_what_was_sent_and_says_what_is_wrong(deployed: Any, local: Any) -> None:
    async def scenario(app: Any) -> None:
        first = await app.call("query", "status")
        assert (first["queued"], first["sent"], first["counted_at"]) == (0, 0, None)
        local.add_fault("/batch", status=503, body="no sink")
        await app.connect(local, key=False)
        for _ in range(3):
            await app.call("mutation", "capture", "bought", distinct_id="u")
        failing = await told(app, "the failure", queued=3, delivery_error="503: no sink")
        assert failing["oldest"] <= failing["counted_at"]
        local.clear_faults()
        await told(app, "the recovery", queued=0, sent=3, delivery_error=None)
        local.add_fault("/batch", times=1, status=400, body="bad event")
        await app.call("mutation", "capture", "bought", distinct_id="u")
        refused = await told(app, "the refusal", failed=1, queued=0)
        assert (refused["sent"], refused["last_error"]) == (3, "400: bad event")
        assert refused["delivery_error"] is None

    deployed(scenario)


def test_a_subscribed_status_follows(deployed: Any, local: Any) -> None:
    async def scenario(app: Any) -> None:
        await app.connect(local, key=False)
        settle = app.watch("shop:in_query", {"method": "status", "arguments": [], "options": {}})
        first = await settle()
        await app.call("mutation", "capture", "bought", distinct_id="u")

        async def changed() -> bool:
            return (await settle()) is not first

        await app.until("another result", changed)

    deployed(scenario)


@pytest.mark.parametrize("at", [None, 1_717_243_200_000.0])
def test_moments_are_datetimes(at: float | None) -> None:
    found = {
        "poll": "no_key", "flags": 0, "cohorts": 0, "fetched_at": None, "confirmed_at": None,
        "failing_since": None, "error": None, "interval_s": 60.0, "queued": 1, "oldest": at,
        "sent": 2, "failed": 3, "dropped": 4, "delivery_error": "x", "last_error": "x",
        "counted_at": at,
    }  # fmt: skip
    status = Status.of(found)
    assert status.oldest == status.counted_at == (None if at is None else moment(at))
    assert (status.queued, status.sent, status.failed, status.dropped) == (1, 2, 3, 4)

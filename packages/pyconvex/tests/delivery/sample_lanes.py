"""Lanes that the tests run, in this process and in real lane processes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from pyconvex.delivery import (
    LaneContext,
    Limits,
    QueueLane,
    Request,
    RunEntry,
    RunLogLane,
    TimerLane,
)
from pyconvex.values import Value


class EventLane(QueueLane):
    queue = "events"
    needs = ("TOKEN", "HOST")
    limits = Limits(max_rows=10, max_age_s=0.02)

    def unfit(self, env: Mapping[str, str]) -> str | None:
        return "TOKEN is a secret" if env["TOKEN"].startswith("secret") else None

    def encode(self, rows: Sequence[Value], env: Mapping[str, str]) -> Request:
        body = msgspec.json.encode({"token": env["TOKEN"], "batch": rows})
        return Request("POST", f"{env['HOST']}/batch/", (), body)


class SecondEventLane(EventLane):
    pass


class MishapLane(RunLogLane):
    """Sends each mishap once by its number, and none that is called dull."""

    reads = ("shop.mishap", "exception")
    needs = ("TOKEN", "HOST")
    limits = Limits(max_rows=10, max_age_s=0.02)

    def __init__(self) -> None:
        self._seen: set[object] = set()

    def admit(self, entry: RunEntry) -> bool:
        if entry.kind == "exception":
            return True
        new = entry.value not in self._seen
        self._seen.add(entry.value)
        return new

    def encode(self, entries: Sequence[RunEntry], env: Mapping[str, str]) -> Request | None:
        if all(entry.value == "dull" for entry in entries):
            return None
        if any(entry.value == "poison" for entry in entries):
            raise ValueError("no such shape")
        batch = [
            {"uuid": e.id, "what": getattr(e.value, "message", e.value), "to": self.component}
            for e in entries
            if e.value != "dull"
        ]
        body = msgspec.json.encode({"token": env["TOKEN"], "batch": batch})
        return Request("POST", f"{env['HOST']}/batch/", (), body)


class ClockLane(TimerLane):
    async def tick(self, ctx: LaneContext) -> float | None:
        state = await ctx.run_query("clock:state", {})
        await ctx.run_mutation("clock:set", {"was": state, "zone": ctx.env.get("ZONE", "")})
        return None


class WatchLane(TimerLane):
    """Says how the queue is doing, whenever there was a commit."""

    wakes_after_s = 0.01

    async def tick(self, ctx: LaneContext) -> float | None:
        report = ctx.queue("events")
        await ctx.run_mutation("watch:note", msgspec.to_builtins(report))
        with contextlib.suppress(LookupError):
            ctx.queue("none")
            raise AssertionError
        return 0.02 if report.waiting else None


class SpinLane(TimerLane):
    async def tick(self, ctx: LaneContext) -> float | None:
        ctx.log("info", "spinning")
        while True:
            pass


class NoLane:
    pass

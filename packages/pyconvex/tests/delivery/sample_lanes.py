"""Lanes that the tests run, in this process and in real lane processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pyconvex.delivery import LaneContext, Limits, QueueLane, Request, TimerLane
from pyconvex.values import Value


class EventLane(QueueLane):
    queue = "events"
    needs = ("TOKEN", "HOST")
    limits = Limits(max_rows=10, max_age_s=0.02)

    def encode(self, rows: Sequence[Value], env: Mapping[str, str]) -> Request:
        body = msgspec.json.encode({"token": env["TOKEN"], "batch": rows})
        return Request("POST", f"{env['HOST']}/batch/", (), body)


class SecondEventLane(EventLane):
    pass


class ClockLane(TimerLane):
    async def tick(self, ctx: LaneContext) -> float | None:
        state = await ctx.run_query("clock:state", {})
        await ctx.run_mutation("clock:set", {"was": state, "zone": ctx.env.get("ZONE", "")})
        return None


class SpinLane(TimerLane):
    async def tick(self, ctx: LaneContext) -> float | None:
        ctx.log("info", "spinning")
        while True:
            pass


class NoLane:
    pass

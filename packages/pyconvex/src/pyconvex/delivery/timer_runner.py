"""Running a lane that ticks.

Owns when it ticks, and what its ticks may use. Never keeps anything over a restart. One invariant:
a tick that fails is tried again, with growing pauses, and is logged once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pyconvex.delivery.breaker import Backoff
from pyconvex.delivery.lane import QueueReport, TimerLane
from pyconvex.delivery.messages import LaneStatus
from pyconvex.delivery.runner import LaneRunner, Surroundings
from pyconvex.delivery.transport import Transport
from pyconvex.values import Value, codec


class TimerRunner(LaneRunner):
    """Ticks a timer lane, and is the `LaneContext` that its ticks get."""

    finishes = False  # a tick happens again anyway

    def __init__(self, component: str, lane: TimerLane, world: Surroundings) -> None:
        super().__init__(component, type(lane).__name__, lane.needs, world)
        self._lane = lane
        self._state = "resting"
        self._ticks = 0
        self._failed = 0
        self._failures_in_a_row = 0
        self._last_error: str | None = None
        #: Set from the first commit that the lane should look at until the tick that does.
        self._woken: asyncio.TimerHandle | None = None

    @property
    def transport(self) -> Transport:
        return self._world.transport

    async def run(self) -> None:
        while not self._stopping:
            self._stirred.clear()
            self._look_now()
            pause = None if self.missing else await self._tick()
            now = asyncio.get_running_loop().time()
            await self._wait(None if pause is None else now + pause)

    def wake(self) -> None:
        after_s = self._lane.wakes_after_s
        if after_s is not None and self._woken is None:
            self._woken = asyncio.get_running_loop().call_later(after_s, self._stirred.set)

    def _look_now(self) -> None:
        if self._woken is not None:
            self._woken.cancel()
            self._woken = None

    def status(self) -> LaneStatus:
        return LaneStatus(
            component=self.component,
            lane=self.lane,
            queue=None,
            state="waiting for settings" if self.missing else self._state,
            missing=self.missing,
            sent=self._ticks,
            failed=self._failed,
            last_error=self._last_error,
        )

    def queue(self, name: str) -> QueueReport:
        return self._world.queue(self.component, name)

    def now_ms(self) -> float:
        return float(self._world.clock_ms())

    def jitter(self) -> float:
        return self._world.chance.uniform(0.9, 1.1)

    async def run_query(self, path: str, args: Mapping[str, Value]) -> Value:
        return await self._call("query", path, args)

    async def run_mutation(self, path: str, args: Mapping[str, Value]) -> Value:
        return await self._call("mutation", path, args)

    async def _call(self, kind: str, path: str, args: Mapping[str, Value]) -> Value:
        body = codec.encode(dict(args))
        return codec.decode(await self._world.call(kind, self.component, path, body))

    async def _tick(self) -> float | None:
        self._state = "ticking"
        try:
            pause = await self._lane.tick(self)
        except Exception as error:  # the lane's own mistake, or a call that failed
            return self._tick_failed(error)
        finally:
            self._state = "resting"
        self._ticks += 1
        self._failures_in_a_row = 0
        return pause

    def _tick_failed(self, error: Exception) -> float:
        self._failed += 1
        self._failures_in_a_row += 1
        self._last_error = f"{type(error).__name__}: {error}"
        if self._failures_in_a_row == 1:
            self.log("error", f"failed ({self._last_error}); tried again with growing pauses")
        return Backoff(1.0, 60.0).pause_s(self._failures_in_a_row, self._world.chance)

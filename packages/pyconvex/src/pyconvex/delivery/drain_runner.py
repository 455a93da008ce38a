"""Running the lanes that drain something.

Owns the loop around `Drain`: it does what the drain says, and tells it how that ended. Never
decides anything about rows, and never knows what they are. One invariant: an answer that a lane's
code can't read keeps the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Generic

from pyconvex.delivery.batch import R
from pyconvex.delivery.breaker import Breaker
from pyconvex.delivery.drain import (
    Acknowledge,
    Drain,
    Phase,
    Read,
    Rejected,
    Say,
    Send,
    SetAside,
    Wait,
)
from pyconvex.delivery.lane import QueueLane, RunLogLane
from pyconvex.delivery.messages import LaneStatus
from pyconvex.delivery.runner import LaneRunner, Surroundings
from pyconvex.delivery.transport import Request, Response, Unreachable
from pyconvex.delivery.verdict import Retry, Verdict
from pyconvex.storage import Position


class DrainRunner(LaneRunner, Generic[R]):
    """Drains something through its lane class; what that is, the classes below know."""

    def __init__(
        self, component: str, lane: QueueLane | RunLogLane, world: Surroundings, after: Position
    ) -> None:
        super().__init__(component, type(lane).__name__, lane.needs, world)
        self._lane: QueueLane | RunLogLane = lane
        self._breaker = Breaker(world.chance)
        self._drain: Drain[R] = Drain(lane.limits, self._freeze, self._breaker, after)
        #: Why nothing may be sent with the variables as they are; None when it may.
        self._unfit: str | None = None

    async def run(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            match self._drain.poll(now()):
                case Say(level, text):
                    self.log(level, text)
                case Acknowledge(position):
                    self._acknowledge(position)
                case Rejected(count):
                    self._rejected(count)
                case SetAside(row, reason):
                    self._set_aside(row, reason)
                case _ if self._stopping:
                    return
                case Read(after, max_rows, max_bytes):
                    rows, more = self._read(after, max_rows, max_bytes)
                    self._drain.add(rows, more=more, now=now())
                case Send(request):
                    self._drain.settle(await self._send(request), now())
                case Wait(until):
                    await self._wait(until)

    def wake(self) -> None:
        self._drain.wake()
        super().wake()

    def set_env(self, env: Mapping[str, str]) -> None:
        super().set_env(env)
        unfit = None if self.missing else self._lane.unfit(self.env)
        if unfit is not None and unfit != self._unfit:
            self.log("error", f"{unfit}; nothing is sent until then, and nothing is lost")
        self._unfit = unfit
        self._drain.settings_changed(complete=not self.missing and unfit is None)

    def status(self) -> LaneStatus:
        oldest, counters = self._drain.oldest, self._drain.counters
        pausing = self._breaker.failures and self._drain.phase is not Phase.IN_FLIGHT
        return LaneStatus(
            component=self.component,
            lane=self.lane,
            queue=self._queue_name,
            state="pausing after a failure" if pausing else self._drain.phase.value,
            circuit=self._breaker.circuit.value,
            missing=self.missing,
            in_hand=self._drain.in_hand,
            more=bool(pausing) and self._drain.may_have_more,
            oldest_ts=None if oldest is None else self._ts_of(oldest),
            sent=counters.sent,
            failed=counters.failed,
            set_aside=counters.set_aside,
            last_error=self._unfit or counters.last_error,
        )

    _queue_name: str | None = None

    def _read(self, after: Position, max_rows: int, max_bytes: int) -> tuple[Sequence[R], bool]:
        raise NotImplementedError

    def _freeze(self, rows: Sequence[R]) -> Request | None:
        raise NotImplementedError

    def _acknowledge(self, through: Position) -> None:
        raise NotImplementedError

    def _set_aside(self, row: R, reason: str) -> None:
        raise NotImplementedError

    def _rejected(self, rows: int) -> None:
        """The receiver dropped so many of what it was sent."""

    def _ts_of(self, row: R) -> int:
        raise NotImplementedError

    async def _transmit(self, request: Request) -> Response:
        return await self._world.transport.send(request)

    async def _send(self, request: Request) -> Verdict:
        try:
            response = await self._transmit(request)
        except Unreachable as error:
            return Retry(str(error))
        try:
            return self._lane.classify(response)
        except Exception as error:  # the lane's own mistake: keep the rows
            return Retry(f"the answer {response.status} was not understood: {error!r}")

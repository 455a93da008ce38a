"""What all runners of lanes have: a name, live variables, and something to wait on.

Owns the life that the roster knows of a lane, and what the process gives each of them. Never
decides what a lane does. One invariant: a lane's own mistake stays in its lane; only a queue that
can't be read ends the process, which the server then starts again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from pyconvex.delivery.lane import QueueReport
from pyconvex.delivery.messages import FromLanes, LaneStatus, Log
from pyconvex.delivery.transport import Transport
from pyconvex.storage import Position, QueueRow


class RowSource(Protocol):
    """Reads durable queue rows."""

    def read(
        self, queue: int, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[QueueRow], bool]:
        """Rows after a position, about as many as asked for; True when there may be more."""


class Surroundings(msgspec.Struct, frozen=True):
    """What the process gives each lane."""

    transport: Transport
    source: RowSource
    #: Sends a message to the server.
    post: Callable[[FromLanes], None]
    #: Asks the server to run a function: kind, component, path, arguments.
    call: Callable[[str, str, str, bytes], asyncio.Future[bytes]]
    #: How a component's queue is doing.
    queue: Callable[[str, str], QueueReport]
    chance: random.Random
    clock_ms: Callable[[], int]


class LaneRunner:
    """One lane on an event loop."""

    #: Whether work in progress is worth waiting for when the process stops.
    finishes = True
    #: What becomes of its work while variables are missing.
    meanwhile = ""

    def __init__(self, component: str, lane: str, needs: tuple[str, ...], world: Surroundings):
        self.component = component
        self.lane = lane
        self.env: Mapping[str, str] = {}
        self._needs = needs
        self._world = world
        self._stopping = False
        self._stirred = asyncio.Event()
        #: The missing variables that were logged last, so that each set is said once.
        self._said_missing: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Variables that must be set first."""
        return tuple(name for name in self._needs if not self.env.get(name, "").strip())

    async def run(self) -> None:
        """Work until stopped or cancelled."""
        raise NotImplementedError

    def status(self) -> LaneStatus:
        """How the lane is doing."""
        raise NotImplementedError

    def wake(self) -> None:
        """There may be new rows."""
        self._stirred.set()

    def set_env(self, env: Mapping[str, str]) -> None:
        """Variables changed."""
        self.env = dict(env)
        missing = self.missing
        if missing and missing != self._said_missing:
            names = " and ".join(missing)
            self.log("info", f"waits until {names} is set{self.meanwhile}; then starts by itself")
        self._said_missing = missing
        self._stirred.set()

    def stop(self) -> None:
        """Finish what is in flight and end."""
        self._stopping = True
        self._stirred.set()

    def log(self, level: str, text: str) -> None:
        """A line for whoever runs the server."""
        self._world.post(Log(self.component, self.lane, level, text))

    async def _wait(self, until: float | None) -> None:
        """Until something stirs, or until this moment of the loop's clock."""
        try:
            async with asyncio.timeout_at(until):
                await self._stirred.wait()
        except TimeoutError:
            pass
        self._stirred.clear()

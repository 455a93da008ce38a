"""Running one lane on an event loop.

Owns the loops around `Drain` and around a timer's `tick`. Never decides anything about rows: the
drain does. One invariant: a lane's own mistake stays in its lane; only a queue that can't be read
ends the process, which the server then starts again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol

import msgspec

from pyconvex.delivery.batch import R
from pyconvex.delivery.breaker import Backoff, Breaker
from pyconvex.delivery.drain import Acknowledge, Drain, Phase, Read, Say, Send, SetAside, Wait
from pyconvex.delivery.lane import (
    LooseRunLogLane,
    QueueLane,
    QueueReport,
    RunLogLane,
    TimerLane,
)
from pyconvex.delivery.messages import (
    Ack,
    FromLanes,
    LaneStatus,
    Log,
    LooseLane,
    Reads,
    RunLogAck,
    SetAsideEntry,
    SetAsideRow,
)
from pyconvex.delivery.run_entries import AdmittedEntries
from pyconvex.delivery.transport import Request, Response, Transport, Unreachable
from pyconvex.delivery.verdict import Accepted, Retry, Verdict
from pyconvex.runlog.cursors import Cursors, cursor_key
from pyconvex.runlog.entries import EntryRow, pack
from pyconvex.runlog.window import Window
from pyconvex.storage import START, Position, QueueRow, QueueStats
from pyconvex.values import Value, codec


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
    """What both kinds of lanes have: a name, live variables, and something to wait on."""

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


class QueueRunner(DrainRunner[QueueRow]):
    """Drains a queue through its lane class."""

    meanwhile = ", rows stay in the queue"

    def __init__(self, component: str, lane: QueueLane, queue: int, world: Surroundings) -> None:
        super().__init__(component, lane, world, START)
        self._encode = lane.encode
        self._queue_name = lane.queue
        self.queue = queue

    def _read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[QueueRow], bool]:
        return self._world.source.read(self.queue, after, max_rows, max_bytes)

    def report(self, stats: QueueStats) -> QueueReport:
        """How the queue is doing, of which the levels are known."""
        counters = self._drain.counters
        return QueueReport(
            waiting=stats.rows,
            oldest_ms=None if stats.oldest_ts is None else stats.oldest_ts / 1_000_000,
            sent=stats.acknowledged,
            set_aside=stats.set_aside,
            dropped=stats.dropped,
            failing=self._breaker.failures > 0,
            last_error=counters.last_error,
        )

    def _freeze(self, rows: Sequence[QueueRow]) -> Request:
        return self._encode([codec.decode(row.body) for row in rows], self.env)

    def _acknowledge(self, through: Position) -> None:
        self._world.post(Ack(self.queue, through.ts, through.seq))

    def _set_aside(self, row: QueueRow, reason: str) -> None:
        self._world.post(SetAsideRow(self.queue, row.ts, row.seq, reason))

    def _ts_of(self, row: QueueRow) -> int:
        return row.ts


class RunLogRunner(DrainRunner[EntryRow]):
    """Carries entries of the run log through a lane class, from its cursor on."""

    meanwhile = ", entries stay in the run log"

    def __init__(
        self, component: str, path: str, lane: RunLogLane, run_log: Window, world: Surroundings
    ) -> None:
        lane.component = component
        kept = Cursors(run_log.folder).get(cursor_key(component, path))
        cursor = START if kept is None else kept.position
        super().__init__(component, lane, world, cursor)
        lane.log = self.log
        self._path = path
        self._encode = lane.encode
        self._entries = AdmittedEntries(run_log, lane, cursor)
        world.post(Reads(component, path, lane.reads))

    def _read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[EntryRow], bool]:
        return self._entries.read(after, max_rows, max_bytes)

    def _freeze(self, rows: Sequence[EntryRow]) -> Request | None:
        return self._encode([row.entry for row in rows], self.env)

    def _acknowledge(self, through: Position) -> None:
        self._world.post(RunLogAck(self.component, self._path, through.ts, through.seq))

    def _set_aside(self, row: EntryRow, reason: str) -> None:
        self._world.post(SetAsideEntry(self.component, self._path, pack(row.entry), reason))
        self._acknowledge(row.position)

    def _ts_of(self, row: EntryRow) -> int:
        return int(row.entry.run.ts_ms * 1_000_000)


class LooseRunner(RunLogRunner):
    """Carries entries through a lane that is set up, and changed, while it runs."""

    def __init__(
        self, loose: LooseLane, lane: LooseRunLogLane, run_log: Window, world: Surroundings
    ) -> None:
        lane.configure(loose.settings)
        super().__init__("", loose.key, lane, run_log, world)
        self.lane = loose.key.rpartition(":")[2]
        self._loose = lane
        self._settings = loose.settings
        self._title = loose.title
        self._sent_bytes = 0
        #: Whether what is frozen counts.
        self._counts = True

    def reconfigure(self, settings: bytes) -> None:
        """Go on with these settings, from the same place."""
        if settings == self._settings:
            return
        self._settings = settings
        self._loose.configure(settings)
        self._entries.read_kinds()
        self._world.post(Reads(self.component, self._path, self._loose.reads))
        self._drain.settings_changed(complete=True)
        self._stirred.set()

    def status(self) -> LaneStatus:
        return msgspec.structs.replace(
            super().status(), sent_bytes=self._sent_bytes, title=self._title
        )

    def log(self, level: str, text: str) -> None:
        self._world.post(Log("log streams", self._title or self.lane, level, text))

    async def _transmit(self, request: Request) -> Response:
        return await self._loose.send(request, self._world.transport)

    async def _send(self, request: Request) -> Verdict:
        verdict = await super()._send(request)
        if isinstance(verdict, Accepted) and self._counts:
            self._sent_bytes += len(request.body)
        return verdict

    def _freeze(self, rows: Sequence[EntryRow]) -> Request | None:
        entries = [row.entry for row in rows]
        self._counts = any(entry.kind not in self._loose.uncounted for entry in entries)
        return self._encode(entries, self.env)


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

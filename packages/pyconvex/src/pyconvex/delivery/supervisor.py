"""The server's side of the lane process: start it, feed it, do what it asks, start it again.

Owns the process, the socket, and the totals that outlive a crash. Never reads a queue and never
decodes arguments. One invariant: what a process asked for before it ended is done before the next
one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from pyconvex.delivery.breaker import Backoff
from pyconvex.delivery.messages import (
    Ack,
    Call,
    CallResult,
    Configure,
    EnvChanged,
    FromServer,
    LaneComponent,
    LaneStatus,
    Log,
    LooseLane,
    Reads,
    RejectedEntries,
    RunLogAck,
    SetAsideEntry,
    SetAsideRow,
    Status,
    Stop,
    Wake,
    decode_from_lanes,
    encode,
)
from pyconvex.runtime.processes.beside import ChildProcess, Spawn, spawn
from pyconvex.runtime.processes.channel import LoopChannel

#: Commits come by the thousand, lanes look at most so often: a look costs what many rows do, and a
#: row waits longer than that for company anyway.
WAKE_INTERVAL_S = 0.1
#: A process that lived so long was well; its end is a first crash again.
HEALTHY_AFTER_S = 60.0
RESTART_BACKOFF = Backoff(base_s=1.0, ceiling_s=30.0)
#: A process that says nothing for so long hangs in some lane's code; it says something every 10 s.
SILENCE_S = 60.0
#: A process that was asked to end within its deadline gets so much more to do it.
KILL_AFTER_S = 1.0


class LaneHost(Protocol):
    """What the lanes need of the server."""

    async def ack(self, queue: int, ts: int, seq: int) -> None:
        """Delete the queue's rows up to and including this position."""

    async def set_aside(self, queue: int, ts: int, seq: int, reason: str) -> None:
        """Move this row out of the queue and keep it with the reason, in one transaction."""

    def reads(self, component: str, lane: str, kinds: tuple[str, ...]) -> None:
        """A lane, given by its import path, reads these kinds of the run log."""

    def run_log_ack(self, component: str, lane: str, ts: int, seq: int) -> None:
        """A lane has delivered the run log up to and including this position."""

    def rejected_entries(self, component: str, lane: str, entries: int) -> None:
        """A receiver dropped so many of the entries that a lane sent."""

    def set_aside_entry(self, component: str, lane: str, body: bytes, reason: str) -> None:
        """Keep this entry of the run log with its reason."""

    async def run(self, kind: str, component: str, path: str, args: bytes) -> bytes:
        """Run a component's "query" or "mutation"; the lane hears of what it raises."""

    def log(self, component: str, lane: str, level: str, text: str) -> None:
        """A line for whoever runs the server."""


class Life(Enum):
    """IDLE → RUNNING when a component has lanes; RUNNING → PAUSING when the process ended by
    itself, → RUNNING again; every state → STOPPED, for good."""

    IDLE = "no lanes"
    RUNNING = "running"
    PAUSING = "restarting"
    STOPPED = "stopped"


spawn_lanes: Spawn = partial(spawn, "pyconvex.delivery.process")


class LaneSupervisor:
    """Keeps the lane process of a server alive.

    `start` once, then `wake` at durable commits, `env_changed` and `configure` as they happen, and
    `stop` at the end. While no component has lanes there is no process.
    """

    def __init__(
        self,
        host: LaneHost,
        *,
        spawn: Spawn = spawn_lanes,
        chance: random.Random | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._host = host
        self._spawn = spawn
        self._silence_s = silence_s
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self.life = Life.IDLE
        self._data_path = ""
        self._durable_ts = 0
        self._components: dict[str, LaneComponent] = {}
        self._loose: tuple[LooseLane, ...] = ()
        self._keeper: asyncio.Task[None] | None = None
        #: Set while some component has lanes.
        self._wanted = asyncio.Event()
        self._child: ChildProcess | None = None
        #: None while no process listens; what is said meanwhile is in the next `Configure`.
        self._channel: LoopChannel | None = None
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._calls: set[asyncio.Task[None]] = set()
        self._wake_timer: asyncio.TimerHandle | None = None
        self._reported: tuple[LaneStatus, ...] = ()
        #: Sums over processes that ended, by component and lane.
        self._before: dict[tuple[str, str], LaneStatus] = {}

    def start(
        self, data_path: Path | str, components: Sequence[LaneComponent], durable_ts: int
    ) -> None:
        """Begin to keep a process for these components' lanes. Call it inside the event loop."""
        self._data_path, self._durable_ts = str(data_path), durable_ts
        self.configure(components)
        self._keeper = asyncio.create_task(self._keep())

    def configure(self, components: Sequence[LaneComponent]) -> None:
        """A deploy: these components' lanes from now on; unchanged ones go on undisturbed."""
        self._components = {c.path: c for c in components if c.lanes}
        self._configured()

    def configure_loose(self, lanes: Sequence[LooseLane]) -> None:
        """These loose lanes from now on; those whose settings are the same go on undisturbed."""
        self._loose = tuple(lanes)
        self._configured()

    def _configured(self) -> None:
        if self._components or self._loose:
            self._wanted.set()
        else:
            self._wanted.clear()
        self._say(self._configuration())

    def env_changed(self, component: str, env: Mapping[str, str]) -> None:
        """A component's variables, all that have a value, as they are now."""
        known = self._components.get(component)
        if known is None or known.env == env:
            return
        self._components[component] = replace(known, env=dict(env))
        self._say(EnvChanged(component, dict(env)))

    def wake(self, durable_ts: int) -> None:
        """Commits up to here are durable. Cheap: many calls become one message."""
        self._durable_ts = max(self._durable_ts, durable_ts)
        if self._channel is not None and self._wake_timer is None:
            loop = asyncio.get_running_loop()
            self._wake_timer = loop.call_later(WAKE_INTERVAL_S, self._send_wake)

    def status(self) -> tuple[LaneStatus, ...]:
        """How each lane is doing; counts include those of processes that crashed."""
        return tuple(self._with_before(status) for status in self._reported)

    @property
    def pid(self) -> int | None:
        """The lane process's id, while there is one."""
        return None if self._child is None else self._child.pid

    async def stop(self, deadline_s: float = 2.0) -> None:
        """End the process: politely within the deadline, then by force. Rows left stay queued."""
        self.life = Life.STOPPED
        if self._keeper is None:
            return
        self._say(Stop(deadline_s))
        if self._channel is None:  # nobody to ask: between two processes, or never one
            self._keeper.cancel()
        await asyncio.wait([self._keeper], timeout=deadline_s + KILL_AFTER_S)
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self) -> None:
        """Run one process after the other until stopped."""
        loop = asyncio.get_running_loop()
        crashes = 0
        while True:
            await self._wanted.wait()
            began = loop.time()
            status = await self._live()
            if self.life is Life.STOPPED:
                return
            self.life = Life.PAUSING
            crashes = 1 if loop.time() - began > HEALTHY_AFTER_S else crashes + 1
            pause_s = RESTART_BACKOFF.pause_s(crashes, self._chance)
            text = (
                f"the lane process ended ({status}); rows are kept, next start in {pause_s:.1f} s"
            )
            self._host.log("", "", "error", text)
            await asyncio.sleep(pause_s)

    async def _live(self) -> str:
        """One process from its start to its end; says how it ended."""
        self.life = Life.RUNNING
        try:
            self._child, sock = await self._spawn()
        except OSError as error:
            return f"it could not be started: {error}"
        child = self._child
        try:
            inbox = self._inbox = asyncio.Queue()
            self._channel = await LoopChannel.open(
                sock, inbox.put_nowait, lambda: inbox.put_nowait(None)
            )
            self._say(self._configuration())
            while (body := await asyncio.wait_for(inbox.get(), self._silence_s)) is not None:
                await self._obey(body)
            return f"status {await child.wait()}"
        except TimeoutError:
            return f"it was killed: a lane kept it busy for {self._silence_s:g} s"
        except msgspec.MsgspecError as error:  # it is not the one that we know how to talk to
            return f"it was not understood: {error}"
        finally:
            await self._bury(child)

    async def _bury(self, child: ChildProcess) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = self._child = None
        for call in self._calls:
            call.cancel()
        self._before = {(s.component, s.lane): s for s in self.status()}
        self._reported = tuple(
            replace(
                s, state=self.life.value, in_hand=0, sent=0, failed=0, set_aside=0, sent_bytes=0
            )
            for s in self._reported
        )
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()

    async def _obey(self, body: bytes) -> None:
        """Do what the process asks; a failure here is the server's and must not end the lanes."""
        match decode_from_lanes(body):
            case Ack(queue, ts, seq):
                await self._attempt(self._host.ack(queue, ts, seq))
            case SetAsideRow(queue, ts, seq, reason):
                await self._attempt(self._host.set_aside(queue, ts, seq, reason))
            case Reads(component, lane, kinds):
                self._host.reads(component, lane, kinds)
            case RunLogAck(component, lane, ts, seq):
                self._host.run_log_ack(component, lane, ts, seq)
            case SetAsideEntry(component, lane, body, reason):
                self._host.set_aside_entry(component, lane, body, reason)
            case RejectedEntries(component, lane, entries):
                self._host.rejected_entries(component, lane, entries)
            case Call() as call:
                task = asyncio.create_task(self._answer(call))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            case Log(component, lane, level, text):
                self._host.log(component, lane, level, text)
            case Status(lanes):
                self._reported = lanes

    async def _attempt(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # rows that stay queued are sent again: receivers deduplicate
            self._host.log("", "", "error", f"a queue could not be updated: {error!r}")

    async def _answer(self, call: Call) -> None:
        try:
            value = await self._host.run(call.kind, call.component, call.path, call.args)
        except Exception as error:  # the lane hears of it
            self._say(CallResult(call.call_id, None, str(error) or type(error).__name__))
        else:
            self._say(CallResult(call.call_id, value))

    def _configuration(self) -> Configure:
        components = tuple(self._components.values())
        return Configure(self._data_path, self._durable_ts, components, self._loose)

    def _say(self, message: FromServer) -> None:
        if self._channel is not None:
            self._channel.send(encode(message))

    def _send_wake(self) -> None:
        self._wake_timer = None
        self._say(Wake(self._durable_ts))

    def _with_before(self, status: LaneStatus) -> LaneStatus:
        return status.after(self._before.get((status.component, status.lane)))

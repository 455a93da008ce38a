"""The server's side of template and isolates: who is idle, who runs what, who is gone.

Owns one deploy's processes and hands runs to them. Never decodes arguments or results. One
invariant: every run that was started ends exactly once, with what the isolate reported or with an
`IsolateGoneError` that says how the isolate ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pyconvex.runtime import messages
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.channel import LoopChannel
from pyconvex.runtime.spec import AppSpec

#: Actions that one isolate runs side by side; a stalled one must not hold up too many others.
ACTIONS_PER_ISOLATE = 8
#: What a query or mutation may use of a processor, in seconds (Convex's limit).
PURE_CPU_LIMIT_S = 1.0
#: How long it may take on the clock, whatever it waits for, in seconds.
PURE_WALL_LIMIT_S = 15.0
#: How long an action may take, in seconds (Convex's limit for its Node.js actions).
ACTION_WALL_LIMIT_S = 600.0
#: A run longer than this gets a spare isolate beside it, in seconds.
SLOW_RUN_S = 0.05
#: How long importing an app may take, in seconds: large packages need some, a loop needs for ever.
LOAD_LIMIT_S = 60.0

_log = logging.getLogger(__name__)


class AppLoadError(Exception):
    """The app could not be imported; the message names file, line and reason."""


class IsolateGoneError(Exception):
    """The isolate ended before the run did; the message says how."""


@dataclass(slots=True)
class Run:
    """One run under way: its future result, and the frames that it may send meanwhile."""

    start: messages.Start
    #: Ends with the run. Callers go through `result`: if they leave, the run is still watched.
    done: asyncio.Future[messages.Finished]
    opened: asyncio.Future[int] | None = None
    #: Answers an action's calls of other functions.
    on_call: Callable[[messages.CallOut], Awaitable[messages.CallBack]] | None = None
    #: True for what is left in an isolate of a run that was taken back: nobody waits for it.
    abandoned: bool = False
    #: Actions that this action called and waits for. Meanwhile its place is free for others, or
    #: nested actions could take all places and wait for one for ever.
    awaited_actions: int = 0

    async def result(self) -> messages.Finished:
        """How the run ended, once it has. May be cancelled.

        Raises `IsolateGoneError`, or `HostError` when the server ended it.
        """
        return await asyncio.shield(self.done)


@dataclass(slots=True)
class Isolate:
    """One isolate as the server sees it."""

    isolate_id: int
    actions: bool
    channel: LoopChannel | None = None
    #: None until the template told it.
    pid: int | None = None
    runs: dict[int, Run] = field(default_factory=dict)
    #: Sent already, to begin the moment the run under way ends; for queries and mutations only.
    #: Between two runs an isolate would otherwise wait for the server's next turn.
    next: Run | None = None
    #: True while the run under way takes long: nothing is lined up behind it.
    slow: bool = False
    #: Why the server is ending it; None while it is wanted.
    ending: str | None = None

    @property
    def places_taken(self) -> int:
        """Actions under way here that wait for no other action."""
        return sum(1 for run in self.runs.values() if not run.awaited_actions)


class IsolatePool:
    """The isolates of one deploy.

    `load` an app, `open`, `submit` runs, `stop` it. `minimum` isolates are kept ready for queries
    and mutations, and at most `maximum` exist when runs are slow; action isolates come on demand.
    `on_lost` is called when the template ended by itself: the pool is of no use any more.
    """

    def __init__(
        self,
        *,
        minimum: int = 2,
        maximum: int = 8,
        max_action_isolates: int = 4,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_lost = on_lost
        self._minimum = minimum
        self._maximum = maximum
        self._max_action_isolates = max_action_isolates
        self._process: subprocess.Popen[bytes] | None = None
        self._control: LoopChannel | None = None
        self._handover: socket.socket | None = None
        self._loaded: asyncio.Future[AppSpec] | None = None
        self._isolates: dict[int, Isolate] = {}
        self._idle: deque[Isolate] = deque()
        self._waiting: deque[Run] = deque()
        self._waiting_actions: deque[Run] = deque()
        self._next_id = 0
        #: Run ids for runs that are sent a second time; far from those that hosts count up.
        self._second_ids = itertools.count(1 << 62)
        self._stopping = False
        self._connecting: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()

    async def load(self, sources: dict[str, str], folder: Path, data_path: Path) -> AppSpec:
        """Spawn the template and import the app in it; nothing of the app runs yet.

        Raises `AppLoadError` when the app can't be imported; nothing is left running then.
        """
        control, control_child = socket.socketpair()
        self._handover, handover_child = socket.socketpair()
        descriptors = (control_child.fileno(), handover_child.fileno())
        self._process = _spawn_template(descriptors)
        control_child.close()
        handover_child.close()
        self._loaded = asyncio.get_running_loop().create_future()
        self._loaded.add_done_callback(_retrieve)  # nobody awaits it any more after a timeout
        self._control = await LoopChannel.open(control, self._from_template, self._template_gone)
        self._control.send(messages.encode(messages.Load(sources, str(folder), str(data_path))))
        try:
            async with asyncio.timeout(LOAD_LIMIT_S):
                return await asyncio.shield(self._loaded)
        except BaseException as error:
            self._process.kill()  # it may be busy with what modules do when they are imported
            await self.stop()
            if isinstance(error, TimeoutError):
                raise AppLoadError(
                    f"Importing the app takes more than {LOAD_LIMIT_S:g} s. Does a module wait, or "
                    "loop, at its top level?"
                ) from None
            raise

    def open(self) -> None:
        """Fork the first isolates; call once, when the app is to be put into force."""
        for _ in range(self._minimum):
            self._fork(actions=False)

    def submit(
        self,
        start: messages.Start,
        *,
        on_call: Callable[[messages.CallOut], Awaitable[messages.CallBack]] | None = None,
    ) -> Run:
        """Queue a run; it begins as soon as an isolate is free, in the order of submission."""
        loop = asyncio.get_running_loop()
        opened = loop.create_future() if start.announce else None
        run = Run(start, loop.create_future(), opened, on_call)
        self.adopt(run)
        return run

    def hand_over(self) -> list[Run]:
        """Take back the runs that have not begun, to be adopted by the pool that follows."""
        lined_up = [run for i in self._isolates.values() if (run := self._take_back(i)) is not None]
        runs = [*lined_up, *self._waiting, *self._waiting_actions]
        self._waiting.clear()
        self._waiting_actions.clear()
        return runs

    def adopt(self, run: Run) -> None:
        """Queue a run that was submitted here, or to the pool before."""
        if self._stopping:
            self._fail(run, _stopping())
        elif run.start.kind == "action":
            self._waiting_actions.append(run)
            self._dispatch_actions()
        else:
            self._waiting.append(run)
            self._dispatch()

    async def stop(self) -> None:
        """End all isolates and the template; runs still under way fail."""
        self._stopping = True
        for run in self.hand_over():
            self._fail(run, _stopping())
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._connecting, *self._answering, return_exceptions=True)
        for isolate in list(self._isolates.values()):
            self._end(isolate, "The server is stopping.")
        if self._control is not None:
            self._control.close()
        if self._handover is not None:
            self._handover.close()
        if self._process is not None:
            process = self._process
            await asyncio.get_running_loop().run_in_executor(None, _wait_or_kill, process)

    async def drain(self) -> None:
        """Wait until no run is under way or waiting."""
        while runs := [
            run.done
            for run in (
                *self._waiting,
                *self._waiting_actions,
                *(r for i in self._isolates.values() for r in i.runs.values()),
                *(i.next for i in self._isolates.values() if i.next is not None),
            )
        ]:
            await asyncio.wait(runs)

    @property
    def pids(self) -> list[int]:
        """The template's process id and those of its isolates."""
        known = [i.pid for i in self._isolates.values() if i.pid is not None]
        return [self._process.pid, *known] if self._process else known

    # Dispatch

    def _dispatch(self) -> None:
        while self._waiting and self._idle:
            isolate = self._idle.popleft()
            if isolate.ending is None and isolate.channel is not None:
                self._begin(isolate, self._waiting.popleft())
        if self._waiting:
            self._line_up()
        if self._waiting and not self._forking_pure():
            pure = sum(1 for i in self._isolates.values() if not i.actions)
            if pure < self._minimum:
                self._fork(actions=False)

    def _line_up(self) -> None:
        """Send waiting runs to busy isolates, one each."""
        for isolate in self._isolates.values():
            if not self._waiting or self._waiting[0].opened is not None:
                return  # a run whose snapshot is to be opened at once needs an idle isolate
            if isolate.runs and isolate.next is None and not (isolate.actions or isolate.slow):
                if isolate.channel is None or isolate.ending is not None:
                    continue
                isolate.next = self._waiting.popleft()
                isolate.channel.send(messages.encode(isolate.next.start))

    def _take_back(self, isolate: Isolate) -> Run | None:
        """Take the run that is lined up off an isolate, to begin elsewhere.

        The isolate may still run it, which changes nothing: only a run's answer has effects, and
        that answer is now for nobody.
        """
        run = isolate.next
        if run is None or run.abandoned:
            return None
        isolate.next = Run(run.start, asyncio.get_running_loop().create_future(), abandoned=True)
        run.start = msgspec.structs.replace(run.start, run_id=next(self._second_ids))
        return run

    def _dispatch_actions(self) -> None:
        while self._waiting_actions:
            free = [
                i
                for i in self._isolates.values()
                if i.actions and not i.ending and i.places_taken < ACTIONS_PER_ISOLATE
            ]
            ready = [i for i in free if i.channel is not None]
            if ready:
                least = min(ready, key=lambda i: i.places_taken)
                self._begin(least, self._waiting_actions.popleft())
            elif free:
                return  # one is being forked
            elif sum(i.actions for i in self._isolates.values()) < self._max_action_isolates:
                self._fork(actions=True)
                return
            else:
                return

    def _begin(self, isolate: Isolate, run: Run) -> None:
        assert isolate.channel is not None
        isolate.channel.send(messages.encode(run.start))
        self._watch(isolate, run)

    def _watch(self, isolate: Isolate, run: Run) -> None:
        """A run begins now, as far as the server can tell: its limits count from here."""
        isolate.runs[run.start.run_id] = run
        loop = asyncio.get_running_loop()
        if isolate.actions:
            timer = loop.call_later(ACTION_WALL_LIMIT_S, self._overdue_action, isolate, run)
        else:
            timer = loop.call_later(SLOW_RUN_S, self._slow, isolate, run)
        run.done.add_done_callback(lambda _: timer.cancel())

    def _slow(self, isolate: Isolate, run: Run) -> None:
        """A run takes long: keep enough isolates ready beside it, and watch its limits."""
        if run.done.done():
            return
        isolate.slow = True
        lined_up = self._take_back(isolate)
        if lined_up is not None:
            self._waiting.appendleft(lined_up)
        busy = sum(1 for i in self._isolates.values() if not i.actions and i.runs)
        total = sum(1 for i in self._isolates.values() if not i.actions)
        if total - busy < self._minimum and total < self._maximum and not self._forking_pure():
            self._fork(actions=False)
        self._dispatch()
        started = asyncio.get_running_loop().time() - SLOW_RUN_S
        self._watch_limits(isolate, run, started, _cpu_seconds(isolate.pid))

    def _watch_limits(
        self, isolate: Isolate, run: Run, started: float, cpu_before: float | None
    ) -> None:
        """End a run that computes for too long; waiting for a busy processor doesn't count."""
        if run.done.done() or isolate.ending is not None:
            return
        loop = asyncio.get_running_loop()
        elapsed = loop.time() - started
        cpu = _cpu_seconds(isolate.pid)
        used = elapsed if cpu is None or cpu_before is None else cpu - cpu_before + SLOW_RUN_S
        if used >= PURE_CPU_LIMIT_S or elapsed >= PURE_WALL_LIMIT_S:
            self._end(isolate, "Function execution timed out (maximum duration: 1s)")
            return
        timer = loop.call_later(0.1, self._watch_limits, isolate, run, started, cpu_before)
        run.done.add_done_callback(lambda _: timer.cancel())

    def _overdue_action(self, isolate: Isolate, run: Run) -> None:
        if not run.done.done():
            name = run.start.path
            self._end(isolate, f"Action {name} timed out (maximum duration: 600s)")

    # Isolates coming and going

    def _forking_pure(self) -> bool:
        return any(i.channel is None and not i.actions for i in self._isolates.values())

    def _fork(self, *, actions: bool) -> None:
        if self._control is None or self._handover is None or self._stopping:
            return
        own, theirs = socket.socketpair()
        try:
            socket.send_fds(self._handover, [b"i"], [theirs.fileno()])
        except OSError:
            own.close()
            return  # the template is gone, which `_template_gone` tells or has told
        finally:
            theirs.close()
        self._next_id += 1
        isolate = Isolate(self._next_id, actions)
        self._isolates[isolate.isolate_id] = isolate
        self._control.send(messages.encode(messages.Fork(isolate.isolate_id, actions)))
        task = asyncio.create_task(self._connect(isolate, own))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, isolate: Isolate, own: socket.socket) -> None:
        isolate.channel = await LoopChannel.open(
            own, lambda body: self._from_isolate(isolate, body), lambda: self._gone(isolate)
        )
        if isolate.actions:
            self._dispatch_actions()
        else:
            self._idle.append(isolate)
            self._dispatch()

    def _from_isolate(self, isolate: Isolate, body: bytes) -> None:
        message = messages.decode_from_isolate(body)
        run = isolate.runs.get(message.run_id)
        if run is None:
            return
        match message:
            case messages.Finished():
                del isolate.runs[message.run_id]
                if not run.done.done():
                    run.done.set_result(message)
                self._freed(isolate)
            case messages.Opened():
                if run.opened is not None and not run.opened.done():
                    run.opened.set_result(message.ts)
            case messages.CallOut():
                task = asyncio.create_task(self._answer(isolate, run, message))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _answer(self, isolate: Isolate, run: Run, call: messages.CallOut) -> None:
        assert run.on_call is not None
        nested = call.kind == "action"
        run.awaited_actions += nested
        try:
            reply = await run.on_call(call)
        except Exception:
            _log.exception("A call that an action made could not be answered.")
            reply = messages.CallBack(call.call_id, None, "InternalServerError", None)
        finally:
            run.awaited_actions -= nested
        if isolate.channel is not None:
            isolate.channel.send(messages.encode(reply))

    def _freed(self, isolate: Isolate) -> None:
        if isolate.actions:
            self._dispatch_actions()
        elif isolate.ending is None:
            isolate.slow = False
            follower, isolate.next = isolate.next, None
            if follower is None:
                self._idle.append(isolate)
            else:
                self._watch(isolate, follower)
            self._dispatch()

    def _end(self, isolate: Isolate, reason: str) -> None:
        """Kill an isolate; its runs fail with `reason`."""
        isolate.ending = reason
        if isolate.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(isolate.pid, signal.SIGKILL)
        if isolate.channel is not None:
            isolate.channel.close()

    def _gone(self, isolate: Isolate) -> None:
        isolate.channel = None
        self._isolates.pop(isolate.isolate_id, None)
        if isolate in self._idle:
            self._idle.remove(isolate)
        reason = isolate.ending or (
            "The function's process ended before the function did: it crashed, exited or used too "
            "much memory."
        )
        for run in isolate.runs.values():
            self._fail(run, _stopping() if self._stopping else IsolateGoneError(reason))
        isolate.runs.clear()
        lined_up = self._take_back(isolate)
        if lined_up is not None:
            self.adopt(lined_up)
        if not self._stopping:
            pure = sum(1 for i in self._isolates.values() if not i.actions)
            if pure < self._minimum:
                self._fork(actions=False)
            self._dispatch_actions()

    def _fail(self, run: Run, error: Exception) -> None:
        for future in (run.done, run.opened):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # not every caller awaits `opened`

    # Template

    def _from_template(self, body: bytes) -> None:
        message = messages.decode_from_template(body)
        assert self._loaded is not None
        match message:
            case messages.Loaded():
                self._loaded.set_result(msgspec.msgpack.decode(message.spec, type=AppSpec))
            case messages.LoadFailed():
                self._loaded.set_exception(AppLoadError(message.message))
            case messages.Forked():
                self._forked(message)
            case messages.Exited():
                pass  # the isolate's socket has closed or will: one place handles it

    def _forked(self, message: messages.Forked) -> None:
        isolate = self._isolates.get(message.isolate_id)
        if isolate is not None:
            isolate.pid = message.pid
            if isolate.ending is not None:
                self._end(isolate, isolate.ending)

    def _template_gone(self) -> None:
        self._control = None
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(
                AppLoadError("The process that imports the app ended before it was done.")
            )
            self._loaded.exception()  # who awaited it may have left
        elif not self._stopping:
            self._on_lost()


def _stopping() -> HostError:
    return HostError(503, "ServerStopping", "The server is stopping. Try again in a moment.")


def _retrieve(future: asyncio.Future[AppSpec]) -> None:
    if not future.cancelled():
        future.exception()


def _spawn_template(descriptors: tuple[int, int]) -> subprocess.Popen[bytes]:
    module = ["-P", "-m", "pyconvex.runtime.template"]
    return subprocess.Popen(
        [sys.executable, *module, *map(str, descriptors), str(os.getpid())],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        env=_clean_environment(),
    )


def _clean_environment() -> dict[str, str]:
    """What of the server's environment a template needs; the rest could hold the host's secrets."""
    kept = ("PATH", "LANG", "LC_ALL", "HOME", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    # The same on every machine, and at every attempt: local time as on Convex, and the order of
    # sets of texts. A fixed seed gives up the defence against chosen keys that collide, which
    # costs little here: a run that takes too long is ended.
    return environment | {"TZ": "UTC", "PYTHONHASHSEED": "0"}


def _wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cpu_seconds(pid: int | None) -> float | None:
    """Processor time that a process has used, in seconds; None where the system doesn't tell."""
    if pid is None:
        return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

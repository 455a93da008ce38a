"""The lanes that run in this process, and what they share.

Owns starting, replacing and stopping lanes, and their calls to the server. Never imports app code:
only lane classes, by import path. One invariant: a lane that can't be made leaves its queue alone
and the others running.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pyconvex.delivery.lane import (
    CallFailed,
    LooseRunLogLane,
    QueueLane,
    QueueReport,
    RunLogLane,
    TimerLane,
)
from pyconvex.delivery.messages import (
    Call,
    CallResult,
    Configure,
    EnvChanged,
    FromLanes,
    LaneComponent,
    LaneStatus,
    Log,
    LooseLane,
    Wake,
)
from pyconvex.delivery.queue_rows import DurableRows
from pyconvex.delivery.queue_runner import QueueRunner
from pyconvex.delivery.run_log_runner import LooseRunner, RunLogRunner
from pyconvex.delivery.runner import LaneRunner, Surroundings
from pyconvex.delivery.timer_runner import TimerRunner
from pyconvex.delivery.transport import Transport
from pyconvex.runlog.log import FOLDER
from pyconvex.runlog.window import Window

#: Lanes are told apart by component and import path; loose ones by no component and their key.
LaneKey = tuple[str | None, str]


class Roster:
    """Runs the lanes that the server configured.

    `post` sends a message to the server; `crashed` hears of a lane whose loop ended with an error,
    after which the process should end and be started again.
    """

    def __init__(
        self,
        post: Callable[[FromLanes], None],
        crashed: Callable[[BaseException], None],
        transport: Transport,
    ) -> None:
        self._post = post
        self._crashed = crashed
        self._rows = DurableRows()
        self._world = Surroundings(
            transport,
            self._rows,
            post,
            self._call,
            self._queue,
            random.Random(),  # noqa: S311 - jitter, not a secret
            lambda: time.time_ns() // 1_000_000,
        )
        #: The run log, as its lanes read it together; set by the first configuration.
        self._run_log = Window(Path())
        self._runners: dict[LaneKey, LaneRunner] = {}
        self._tasks: dict[LaneKey, asyncio.Task[None]] = {}
        #: What lanes counted that ended and may be started again, as with other settings.
        self._counted: dict[LaneKey, LaneStatus] = {}
        #: Lanes that can't run, with the reason; tried again at the next deploy.
        self._broken: dict[LaneKey, LaneStatus] = {}
        self._components: dict[str, LaneComponent] = {}
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._call_ids = count(1)

    def receive(self, message: Configure | Wake | EnvChanged | CallResult) -> None:
        """Do what the server says."""
        match message:
            case Configure(data_path, durable_ts, components, loose):
                self._rows.open(data_path)
                self._open_run_log(Path(data_path) / FOLDER)
                self._configure(components)
                self._configure_loose(loose)
                self._wake(durable_ts)
            case Wake(durable_ts):
                self._wake(durable_ts)
            case EnvChanged(component, env):
                for (path, _), runner in self._runners.items():
                    if path == component:
                        runner.set_env(env)
            case CallResult(call_id, value, error):
                self._returned(call_id, value, error)

    def statuses(self) -> tuple[LaneStatus, ...]:
        """How all lanes are doing."""
        running = (r.status().after(self._counted.get(key)) for key, r in self._runners.items())
        return (*running, *self._broken.values())

    async def stop(self, deadline_s: float) -> None:
        """Let requests in flight finish within the deadline; start nothing."""
        for key, runner in self._runners.items():
            runner.stop()
            if not runner.finishes:
                self._tasks[key].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=deadline_s)

    def abandon(self) -> None:
        """Drop everything as it is; the queues still have it."""
        for task in self._tasks.values():
            task.cancel()
        self._rows.close()

    def _open_run_log(self, folder: Path) -> None:
        if self._run_log.folder != folder:
            self._run_log = Window(folder)

    def _configure(self, components: tuple[LaneComponent, ...]) -> None:
        wanted: dict[LaneKey, LaneComponent] = {
            (c.path, lane): c for c in components for lane in c.lanes
        }
        self._broken.clear()
        for key in list(self._runners):
            if key[0] is None:
                continue
            if key not in wanted or wanted[key].queues != self._components[key[0]].queues:
                self._end(key)
        self._components = {c.path: c for c in components}
        for key, component in wanted.items():
            if key in self._runners:
                self._runners[key].set_env(component.env)
            else:
                self._start(key, partial(self._make, key[1], component), component.env)

    def _configure_loose(self, loose: tuple[LooseLane, ...]) -> None:
        wanted: dict[LaneKey, LooseLane] = {(None, each.key): each for each in loose}
        for key in list(self._runners):
            if key[0] is None and key not in wanted:
                self._end(key)
        for key, each in wanted.items():
            runner = self._runners.get(key)
            if isinstance(runner, LooseRunner):
                runner.reconfigure(each.settings)
            else:
                self._start(key, partial(self._make_loose, each), {})

    def _end(self, key: LaneKey) -> None:
        ended = self._runners.pop(key).status().after(self._counted.get(key))
        # What was wrong was so with its settings of then.
        self._counted[key] = replace(ended, last_error=None)
        self._tasks.pop(key).cancel()

    def _start(self, key: LaneKey, make: Callable[[], LaneRunner], env: Mapping[str, str]) -> None:
        try:
            runner = make()
        except Exception as error:  # whatever the import of a lane raises, the others go on
            name, reason = key[1].rpartition(":")[2], f"{type(error).__name__}: {error}"
            self._broken[key] = LaneStatus(
                component=key[0] or "", lane=name, queue=None, state="broken", last_error=reason
            )
            text = f"lane {key[1]} can't run ({reason}); what it carries is kept"
            self._post(Log(key[0] or "", name, "error", text))
            return
        runner.set_env(env)
        self._runners[key] = runner
        self._tasks[key] = asyncio.create_task(runner.run(), name=key[1])
        self._tasks[key].add_done_callback(self._ended)

    def _make_loose(self, loose: LooseLane) -> LaneRunner:
        lane = _imported(loose.lane)()
        if not isinstance(lane, LooseRunLogLane):
            raise TypeError(f"{loose.lane} is no LooseRunLogLane")
        return LooseRunner(loose, lane, self._run_log, self._world)

    def _make(self, import_path: str, component: LaneComponent) -> LaneRunner:
        lane = _imported(import_path)()
        if isinstance(lane, TimerLane):
            return TimerRunner(component.path, lane, self._world)
        if isinstance(lane, RunLogLane):
            return RunLogRunner(component.path, import_path, lane, self._run_log, self._world)
        if not isinstance(lane, QueueLane):
            raise TypeError(f"{import_path} is no QueueLane, RunLogLane or TimerLane")
        queue = component.queues.get(lane.queue)
        if queue is None:
            raise LookupError(f"the component declares no queue named {lane.queue!r}")
        if any(isinstance(r, QueueRunner) and r.queue == queue for r in self._runners.values()):
            raise ValueError(f"another lane drains the queue {lane.queue!r} already")
        return QueueRunner(component.path, lane, queue, self._world)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)

    def _wake(self, durable_ts: int) -> None:
        self._rows.durable_ts = max(self._rows.durable_ts, durable_ts)
        for runner in self._runners.values():
            runner.wake()

    def _call(self, kind: str, component: str, path: str, args: bytes) -> asyncio.Future[bytes]:
        call_id = next(self._call_ids)
        future = self._calls[call_id] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._calls.pop(call_id, None))
        self._post(Call(call_id, kind, component, path, args))
        return future

    def _queue(self, component: str, name: str) -> QueueReport:
        owner = self._components.get(component)
        number = None if owner is None else owner.queues.get(name)
        for runner in self._runners.values():
            if isinstance(runner, QueueRunner) and runner.queue == number:
                return runner.report(self._rows.stats(runner.queue))
        raise LookupError(f"no lane of {component!r} drains a queue named {name!r}")

    def _returned(self, call_id: int, value: bytes | None, error: str) -> None:
        future = self._calls.get(call_id)
        if future is None or future.done():
            return
        if value is None:
            future.set_exception(CallFailed(error))
        else:
            future.set_result(value)


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)

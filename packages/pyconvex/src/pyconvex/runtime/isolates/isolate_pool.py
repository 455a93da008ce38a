"""The processes of one deploy, as a pool that runs functions.

Owns which isolates exist: it starts the template, connects forks, passes frames on, and buries what
is gone. Never chooses what runs where, and never decodes arguments or results. One invariant: every
run that was started ends exactly once, with what the isolate reported or with an `IsolateGoneError`
that says how the isolate ended and has what the run had told.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.isolates.action_isolates import ActionIsolates
from pyconvex.runtime.isolates.isolate_process import Isolate, how_it_ended
from pyconvex.runtime.isolates.pure_isolates import PureIsolates
from pyconvex.runtime.isolates.runs import Run
from pyconvex.runtime.isolates.template_process import TemplateProcess
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.channel import LoopChannel
from pyconvex.runtime.running import limits
from pyconvex.runtime.running.last_words import last_words

_STOPPING = "The server is stopping. Try again in a moment."
#: How long after its socket the exit status of an isolate may come, in seconds.
STATUS_WAIT_S = 1.0

_log = logging.getLogger(__name__)


class IsolatePool:
    """The isolates of one deploy (`pyconvex.runtime.isolates.pool.Pool`).

    `load` an app, `open`, `submit` runs, `stop` it. `minimum` isolates are kept ready for queries
    and mutations, and at most `maximum` exist when runs are slow; action isolates come on demand.
    With `fresh` every run gets a process in which nothing has run. `on_lost` is called when the
    template ended by itself: the pool is of no use any more.
    """

    def __init__(
        self,
        *,
        minimum: int = 2,
        maximum: int = 16,
        max_action_isolates: int = 4,
        fresh: bool = False,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._template = TemplateProcess(
            on_forked=self._forked, on_exited=self._exited, on_lost=on_lost
        )
        runs_each = 1 if fresh else limits.RUNS_PER_ISOLATE
        self._pure = PureIsolates(
            lambda: self._fork(actions=False),
            minimum=minimum,
            maximum=maximum,
            runs_each=runs_each,
        )
        each = 1 if fresh else limits.ACTIONS_PER_ISOLATE
        self._actions = ActionIsolates(
            lambda: self._fork(actions=True),
            maximum=max_action_isolates * (limits.ACTIONS_PER_ISOLATE // each),
            each=each,
            runs_each=runs_each,
        )
        self._isolates: dict[int, Isolate] = {}
        self._next_id = 0
        self._stopping = False
        self._connecting: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        #: Set whenever something ended; who drains looks again.
        self._ended = asyncio.Event()

    async def load(self, sources: dict[str, str], folder: Path, data_path: Path) -> AppSpec:
        """Import the app in a new template; raises `AppLoadError`, and leaves nothing then."""
        return await self._template.load(sources, folder, data_path)

    def open(self) -> None:
        """Fork the first isolates; call once, when the app is to be put into force."""
        self._pure.fill()

    def hand_over(self) -> list[Run]:
        """Take back the runs that have not begun, to be adopted by the pool that follows."""
        runs = [*self._pure.hand_over(), *self._actions.hand_over()]
        self._ended.set()
        return runs

    def adopt(self, run: Run) -> None:
        """Queue a run; it begins as soon as its turn and an isolate have come."""
        if self._stopping:
            run.fail(_stopping())
        elif run.start.kind in messages.ACTION_KINDS:
            self._actions.adopt(run)
        else:
            self._pure.adopt(run)

    async def stop(self) -> None:
        """End all isolates and the template; runs still under way fail."""
        self._stopping = True
        for run in self.hand_over():
            run.fail(_stopping())
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._connecting, *self._answering, return_exceptions=True)
        for isolate in list(self._isolates.values()):
            isolate.end(isolate.ending or _STOPPING)
            self._bury(isolate)
        await self._template.stop()

    async def drain(self) -> None:
        """Wait until no run is under way or waiting."""
        while self._busy:
            self._ended.clear()
            await self._ended.wait()

    @property
    def _busy(self) -> bool:
        waiting = self._pure.backlog or self._actions.backlog
        return bool(waiting) or any(isolate.runs for isolate in self._isolates.values())

    @property
    def idle(self) -> int:
        """Isolates that wait for a query or mutation."""
        return self._pure.idle

    @property
    def isolates(self) -> list[Isolate]:
        """All isolates, also those that are only coming."""
        return list(self._isolates.values())

    @property
    def pids(self) -> list[int]:
        """The template's process id and those of its isolates."""
        template = self._template.pid
        known = [i.pid for i in self._isolates.values() if i.pid is not None]
        return known if template is None else [template, *known]

    # Isolates coming and going

    def _fork(self, *, actions: bool) -> Isolate | None:
        if self._stopping:
            return None
        ends = self._template.fork(self._next_id + 1, actions=actions)
        if ends is None:
            return None
        own, box = ends
        self._next_id += 1
        isolate = Isolate(self._next_id, actions, box)
        self._isolates[isolate.isolate_id] = isolate
        task = asyncio.create_task(self._connect(isolate, own))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return isolate

    async def _connect(self, isolate: Isolate, own: socket.socket) -> None:
        isolate.channel = await LoopChannel.open(
            own, lambda body: self._from_isolate(isolate, body), lambda: self._gone(isolate)
        )
        if isolate.pid is not None:
            self._ready(isolate)

    def _forked(self, message: messages.Forked) -> None:
        isolate = self._isolates.get(message.isolate_id)
        if isolate is None:
            return
        isolate.pid = message.pid
        if isolate.ending is not None:
            isolate.end(isolate.ending)
        elif isolate.channel is not None:
            self._ready(isolate)

    def _ready(self, isolate: Isolate) -> None:
        if not self._stopping:
            (self._actions if isolate.actions else self._pure).ready(isolate)

    def _gone(self, isolate: Isolate) -> None:
        """Its socket has closed; what it takes with it waits for the reason, if none is known."""
        isolate.channel = None
        (self._actions if isolate.actions else self._pure).lost(isolate)
        if not isolate.runs or isolate.ending is not None or isolate.status is not None:
            self._bury(isolate)
        else:
            asyncio.get_running_loop().call_later(STATUS_WAIT_S, self._bury, isolate)

    def _exited(self, message: messages.Exited) -> None:
        isolate = self._isolates.get(message.isolate_id)
        if isolate is not None:
            isolate.status = message.status
            if isolate.channel is None:
                self._bury(isolate)

    def _bury(self, isolate: Isolate) -> None:
        """End the runs of an isolate that is gone; harmless when repeated."""
        if self._isolates.pop(isolate.isolate_id, None) is None:
            return
        if isolate.runs:
            self._end_runs(isolate)
        isolate.box.close()
        self._ended.set()

    def _end_runs(self, isolate: Isolate) -> None:
        paths = [run.start.path for run in isolate.runs.values()]
        reason = isolate.ending or how_it_ended(isolate.status, paths)
        stopping = self._stopping and reason == _STOPPING
        contents = isolate.box.read()
        for run in isolate.runs.values():
            lines = len(run.told)
            report = last_words(
                contents, run.start, lines_told=lines, items_told=run.told_count - lines
            )
            lost = isolate.ending is None
            run.fail(run.gone(reason, report, lost=lost, stopping=stopping))
        isolate.runs.clear()

    # Frames

    def _from_isolate(self, isolate: Isolate, body: bytes) -> None:
        match messages.decode_from_isolate(body):
            case messages.Finished() as finished:
                self._finished(isolate, finished)
            case messages.Opened(run_id, ts):
                run = isolate.runs.get(run_id)
                if run is not None and run.opened is not None and not run.opened.done():
                    run.opened.set_result(ts)
            case messages.Told() as by_now:
                run = isolate.runs.get(by_now.run_id)
                if run is not None:
                    run.tell(by_now)
            case messages.CallOut() as call:
                run = isolate.runs.get(call.run_id)
                if run is not None:
                    task = asyncio.create_task(_answer(isolate, run, call))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
            case messages.Pong():
                self._actions.answered(isolate)
            case messages.Blocked() as told:
                self._actions.blocked(isolate, told)

    def _finished(self, isolate: Isolate, finished: messages.Finished) -> None:
        run = isolate.runs.pop(finished.run_id, None)
        if run is None:
            return
        isolate.ran += 1
        run.finish(finished)
        if isolate.actions:
            isolate.retiring |= finished.leaves
            self._actions.freed(isolate, finished.run_id)
        elif finished.leaves:
            isolate.retiring = True
            self._pure.lost(isolate)
        else:
            self._pure.freed(isolate, finished.report.usage.cpu_ms)
        self._ended.set()


async def _answer(isolate: Isolate, run: Run, call: messages.CallOut) -> None:
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
    isolate.send(reply)


def _stopping() -> HostError:
    return HostError(503, "ServerStopping", _STOPPING)

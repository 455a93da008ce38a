"""Running an app's code in this process: for debuggers and tests.

Owns the order of runs on the event loop and the app's modules for as long as it is in force. Never
forks, and never ends a run by force: a function that loops for ever stops this process. One
invariant: queries and mutations run one at a time, each in a context of its own, so that nothing of
the caller's context is visible to them.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack, redirect_stdout
from contextvars import Context
from pathlib import Path
from typing import Any

from pyconvex import identity
from pyconvex.database import Catalog
from pyconvex.runlog import Report
from pyconvex.runtime import purity
from pyconvex.runtime.app.analysis import analyse
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.loader import APP_PACKAGE, unload_app
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.runtime.isolates.runs import IsolateGoneError, Run
from pyconvex.runtime.isolates.template import load_failure
from pyconvex.runtime.isolates.template_process import AppLoadError
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.action import ActionRunner
from pyconvex.runtime.running.output import shared_output
from pyconvex.runtime.running.run import PureRun
from pyconvex.runtime.running.schema_check import CHECK, check_page
from pyconvex.storage import Reader

_STOPPING = "The server is stopping."
_EXITED = (
    "The function ended its process: it called exit, which in an isolate ends the isolate alone."
)

#: Tells the apps of one process apart.
_numbers = itertools.count(1)

#: Makes an app's image from its sources, its folder, and the name to import it under.
LoadImage = Callable[[Mapping[str, str], str, str], AppImage]
#: Sees how a run ended and what it raised, and gives how it shall have ended.
Observe = Callable[[messages.Start, messages.Finished, BaseException | None], messages.Finished]


class InProcessPool:
    """Runs one deploy on the running event loop (`pyconvex.runtime.isolates.pool.Pool`).

    `load_image` replaces the import from source. `observe` is called at the end of each run.
    """

    def __init__(
        self,
        *,
        load_image: LoadImage = analyse,
        observe: Observe = lambda start, finished, raised: finished,
    ) -> None:
        self._load_image = load_image
        self._observe = observe
        self._package = f"{APP_PACKAGE}_{next(_numbers)}"
        self._catalog = Catalog()
        #: Undone when the pool stops: guards, modules, readers.
        self._held = ExitStack()
        self._waiting: deque[Run] = deque()
        self._actions: dict[int, Run] = {}
        self._raised: dict[int, BaseException] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def load(self, sources: dict[str, str], folder: Path, data_path: Path) -> AppSpec:
        """Import the app under a name of its own; raises `AppLoadError` from what it raised."""
        self._held.enter_context(purity.guarded())
        self._held.callback(unload_app, self._package)
        try:
            with redirect_stdout(sys.stderr):  # standard output is the program's own
                self._image = self._load_image(sources, str(folder), self._package).hooked()
        except (Exception, SystemExit) as error:
            self._held.close()
            raise AppLoadError(load_failure(error, str(folder))) from error
        self._reader, action_reader = Reader(data_path), Reader(data_path)
        self._held.callback(self._reader.close)
        self._held.callback(action_reader.close)
        self._runner = ActionRunner(self._image, action_reader, self._from_action, self._on_raised)
        return self._image.spec

    def open(self) -> None:
        """Nothing to do: the event loop is ready."""

    def hand_over(self) -> list[Run]:
        """Take back the runs that have not begun."""
        runs = list(self._waiting)
        self._waiting.clear()
        return runs

    def adopt(self, run: Run) -> None:
        """Queue a run; it begins at a later turn of the event loop, in order of adoption."""
        if self._stopping:
            _end(run, IsolateGoneError(_STOPPING))
            return
        self._waiting.append(run)
        asyncio.get_running_loop().call_soon(self._next, context=Context())

    async def drain(self) -> None:
        """Wait until no run is under way or waiting."""
        while self._waiting or self._tasks:
            await asyncio.wait(self._tasks) if self._tasks else await asyncio.sleep(0)

    async def stop(self) -> None:
        """End everything: waiting runs and actions fail, the app's modules are forgotten."""
        self._stopping = True
        for run in self.hand_over():
            _end(run, IsolateGoneError(_STOPPING))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for run in self._actions.values():  # those whose first step had not come yet
            _end(run, IsolateGoneError(_STOPPING))
        self._held.close()

    @property
    def pids(self) -> list[int]:
        """None: there is no process but this one."""
        return []

    def _next(self) -> None:
        if not self._waiting:
            return  # handed over
        run = self._waiting.popleft()
        run.begin(asyncio.get_running_loop().time())
        if run.start.kind in messages.ACTION_KINDS:
            self._actions[run.start.run_id] = run
            self._start(self._run_action(run))
        else:
            self._run_pure(run)

    def _run_pure(self, run: Run) -> None:
        start = run.start
        pure: PureRun | None = None
        head = self._reader.begin()
        try:
            if run.opened is not None and not run.opened.done():
                run.opened.set_result(head.ts)
            if start.kind == CHECK:
                _end(run, check_page(self._image.components, self._reader, start))
                return
            pure = PureRun(
                self._image, self._reader, self._catalog, start, identity.decode(start.identity)
            )
            with shared_output():
                finished = pure.execute()
            _end(run, finished if finished.stale else self._observe(start, finished, pure.raised))
        except BaseException as error:
            _end_with(run, error, Report() if pure is None else pure.told_so_far())
        finally:
            self._reader.end()

    async def _run_action(self, run: Run) -> None:
        start = run.start
        try:
            with shared_output():
                finished = await self._runner.run(start, identity.decode(start.identity))
            raised = self._raised.pop(start.run_id, None)
            _end(run, self._observe(start, finished, raised))
        except BaseException as error:
            _end_with(run, error, Report())  # the runner has told the rest
        finally:
            del self._actions[start.run_id]

    def _on_raised(self, start: messages.Start, raised: BaseException) -> None:
        self._raised[start.run_id] = raised

    def _from_action(self, frame: messages.Frame) -> None:
        assert isinstance(frame, (messages.CallOut, messages.Told))
        run = self._actions[frame.run_id]
        if isinstance(frame, messages.Told):
            run.tell(frame)
        else:
            self._start(self._answer(run, frame))

    async def _answer(self, run: Run, call: messages.CallOut) -> None:
        assert run.on_call is not None
        try:
            reply = await run.on_call(call)
        except Exception as error:
            reply = messages.CallBack(call.call_id, None, str(error), None)
        self._runner.call_back(reply)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end_with(run: Run, error: BaseException, told: Report) -> None:
    """End a run by what is no exception of the function: exit, cancellation, a test's verdict."""
    match error:
        case SystemExit():
            _end(run, run.gone(_EXITED, told))
        case asyncio.CancelledError():
            _end(run, run.gone(_STOPPING, told))
            raise error
        case KeyboardInterrupt():
            _end(run, run.gone("The server was interrupted.", told))
            raise error
        case _:
            _end(run, error)


def _end(run: Run, how: messages.Finished | BaseException) -> None:
    if isinstance(how, BaseException):
        run.fail(how)
    else:
        run.finish(how)

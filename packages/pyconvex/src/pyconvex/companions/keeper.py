"""One companion, kept as its file wants it.

Owns its process: when it begins, is started again, and ends. Never reads the file, which the
package does. One invariant: there is at most one process of it, and none once `run` has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from typing import Any, TypeVar

import msgspec

from pyconvex.companions.companion import Companion, Program, Project
from pyconvex.companions.console import Say, relay
from pyconvex.companions.status import CompanionState, CompanionStatus

_LOG = logging.getLogger("pyconvex.companions")

#: Between two looks whether its file has changed.
LOOK_S = 1.0
#: A process that was asked to end is killed so much later.
GRACE_S = 2.0
#: A process that lived so long was well; its end is a first failure again.
HEALTHY_AFTER_S = 60.0
#: What is left of a process's output is waited for so long.
_LAST_WORDS_S = 1.0

#: What tells one state of a file from another; None where there is no file.
_Stamp = tuple[int, int, int] | None
_Found = TypeVar("_Found")


class Keeper:
    """Keeps one companion. Call `run` once, in a task, and cancel that to end it.

    `access` gives the variables that its process finds the host by; `pause_s` says how long to wait
    after so many failures in a row, `say` takes what it prints.
    """

    def __init__(
        self,
        point: EntryPoint,
        project: Project,
        access: Callable[[Program], Mapping[str, str]],
        *,
        pause_s: Callable[[int], float],
        say: Say,
        look_s: float = LOOK_S,
        grace_s: float = GRACE_S,
    ) -> None:
        self._point = point
        self._project = project
        self._access = access
        self._pause_s = pause_s
        self._say = say
        self._look_s = look_s
        self._grace_s = grace_s
        #: None until the package is loaded, which is tried again when the file changes.
        self._companion: Companion | None = None
        self.status = CompanionStatus(name=point.name, state=CompanionState.NOT_SET_UP)

    async def run(self) -> None:
        """Keep it until cancelled."""
        try:
            while True:
                stamp, program = await _aside(self._wanted)
                if program is not None:
                    await self._keep(program, stamp)
                else:
                    await self._change(stamp)
        finally:
            self._tell(CompanionState.ENDED, next_ms=None)

    def _wanted(self) -> tuple[_Stamp, Program | None]:
        """What its file wants now. Whatever the package raises is told, and raised no further."""
        stamp = None
        try:
            companion = self._companion = self._companion or self._loaded()
            stamp = self._stamp()
            if stamp is None:
                where = self._project.folder / companion.file
                self._tell(CompanionState.NOT_SET_UP, f"there is no {where}; {companion.set_up}")
                return stamp, None
            wanted = companion.program(self._project)
        except Exception as error:
            self._broken(f"{type(error).__name__}: {error}")
            return stamp, None
        if isinstance(wanted, Program):
            return stamp, wanted
        if wanted.problem:
            self._broken(wanted.reason)
        else:
            self._tell(CompanionState.IDLE, wanted.reason)
        return stamp, None

    def _loaded(self) -> Companion:
        companion = self._point.load()
        if not isinstance(companion, Companion):
            raise TypeError(f"{self._point.value} is no Companion")
        return companion

    def _broken(self, reason: str) -> None:
        _LOG.error("The companion %s can't run: %s", self._point.name, reason)
        self._tell(CompanionState.BROKEN, reason)

    def _stamp(self) -> _Stamp:
        assert self._companion is not None
        try:
            found = (self._project.folder / self._companion.file).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    async def _change(self, stamp: _Stamp) -> None:
        """Return once the file is another than it was."""
        while True:
            await asyncio.sleep(self._look_s)
            # What can't be loaded has told so, and is the same until the host starts anew.
            if self._companion is not None and self._stamp() != stamp:
                return

    async def _keep(self, program: Program, stamp: _Stamp) -> None:
        """Run it, one process after the other, until its file changes."""
        loop = asyncio.get_running_loop()
        changing = asyncio.create_task(self._change(stamp))
        failures = 0
        try:
            while not changing.done():
                began = loop.time()
                status = await self._live(program, failures, changing)
                if status is None:
                    return
                if status == 0 and program.every_s is not None:
                    failures = 0
                    pause_s = max(0.0, began + program.every_s - loop.time())
                    self._pausing(CompanionState.WAITING, pause_s, failures)
                else:
                    failures = 1 if loop.time() - began > HEALTHY_AFTER_S else failures + 1
                    pause_s = self._pause_s(failures)
                    self._failed(status, pause_s, failures)
                await asyncio.wait([changing], timeout=pause_s)
        finally:
            changing.cancel()

    def _failed(self, status: int | str, pause_s: float, failures: int) -> None:
        how = status if isinstance(status, str) else f"it ended with {_how(status)}"
        name = self._point.name
        _LOG.warning("The companion %s: %s; next start in %.1f s", name, how, pause_s)
        self._pausing(CompanionState.RESTARTING, pause_s, failures, how)

    def _pausing(
        self, state: CompanionState, pause_s: float, failures: int, reason: str = ""
    ) -> None:
        self._tell(state, reason, next_ms=(time.time() + pause_s) * 1000, failures=failures)

    async def _live(
        self, program: Program, failures: int, changing: asyncio.Task[None]
    ) -> int | str | None:
        """One process: its status, why there was none, or None when its file has changed."""
        try:
            child = await self._spawn(program)
        except OSError as error:
            return f"it could not be started: {error}"
        assert child.stdout is not None
        self._started(program, child.pid, failures)
        hearing = asyncio.create_task(relay(child.stdout, self._heard))
        waiting = asyncio.create_task(child.wait())
        try:
            await asyncio.wait([waiting, changing], return_when=asyncio.FIRST_COMPLETED)
            return None if not waiting.done() else waiting.result()
        finally:
            await self._bury(child, waiting, hearing)

    async def _spawn(self, program: Program) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "pyconvex.companions.process"),
            *(str(os.getpid()), program.run, *program.arguments),
            stdin=asyncio.subprocess.PIPE,  # which ends with this process, however it does
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self._project.folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._access(program)},
            # Ctrl-C reaches the whole terminal, and the host decides when this ends; what it
            # starts ends with it.
            start_new_session=True,
        )

    async def _bury(
        self,
        child: asyncio.subprocess.Process,
        waiting: asyncio.Task[int],
        hearing: asyncio.Task[None],
    ) -> None:
        """Ask it to end, see to it that it does, and hear its last words."""
        try:
            if not waiting.done():
                _signal(child.pid, signal.SIGTERM)
                await asyncio.wait([waiting], timeout=self._grace_s)
        finally:
            _signal(child.pid, signal.SIGKILL)  # what it has started, too
        await waiting
        await asyncio.wait([hearing], timeout=_LAST_WORDS_S)
        hearing.cancel()

    def _started(self, program: Program, pid: int, failures: int) -> None:
        if self.status.starts == 0:
            _LOG.info("The companion %s runs beside this host", self._point.name)
        self._tell(
            CompanionState.RUNNING,
            program=shlex.join([program.run, *program.arguments]),
            pid=pid,
            since_ms=time.time() * 1000,
            next_ms=None,
            starts=self.status.starts + 1,
            failures=failures,
        )

    def _heard(self, line: str) -> None:
        self.status = msgspec.structs.replace(self.status, last_line=line)
        self._say(line)

    def _tell(self, state: CompanionState, reason: str = "", **more: Any) -> None:
        if state is not CompanionState.RUNNING:
            more = {"pid": None, "since_ms": None, **more}
        self.status = msgspec.structs.replace(self.status, state=state, reason=reason, **more)


async def _aside(work: Callable[[], _Found]) -> _Found:
    """What it returns, from a thread that nobody waits for when the host ends."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[_Found] = loop.create_future()

    def take(result: _Found) -> None:
        if not found.done():  # nobody waits any more
            found.set_result(result)

    def run() -> None:
        result = work()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(take, result)

    threading.Thread(target=run, name="companion", daemon=True).start()
    return await found


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left of it
        os.killpg(group, number)


def _how(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"

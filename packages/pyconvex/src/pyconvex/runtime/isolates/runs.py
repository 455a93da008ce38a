"""Runs, as the server and its pools see them: what is to run, for whom, and how it ends.

Owns the future of each run. Never decides where or when it runs. One invariant: every run that was
submitted ends exactly once, with what was reported or with the reason why nothing was.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from pyconvex.runlog import LogLine, Report
from pyconvex.runtime.processes import messages

OnCall = Callable[[messages.CallOut], Awaitable[messages.CallBack]]
OnTold = Callable[[messages.Told], None]


class Work(enum.IntEnum):
    """Why something runs, which decides what goes first when not all can."""

    #: Somebody waits for the answer.
    CALL = 1
    #: A query that is watched has become stale.
    RERUN = 2
    #: Due by a schedule: crons, and functions that were scheduled.
    SCHEDULED = 3
    #: A call of a function that lately took its isolate with it.
    SUSPECT = 4

    @property
    def is_call(self) -> bool:
        """Whether somebody waits for the answer."""
        return self in (Work.CALL, Work.SUSPECT)

    @property
    def is_bounded(self) -> bool:
        """Whether this kind of work may never fill all isolates."""
        return self in (Work.SCHEDULED, Work.SUSPECT)


class RunWatcher(Protocol):
    """Who hears when a run begins, at most once, and when it ends, once."""

    def began(self, run: Run) -> None:
        """It begins."""

    def ended(self, run: Run) -> None:
        """It ended, or could not begin."""


_NOTHING = Report()


class IsolateGoneError(Exception):
    """The isolate ended before the run did; the message says how.

    `lost` is True when it was not the server that ended it, for what the run did. `execution_id`
    names the run, and `report` is what it told of which the server did not know.
    """

    def __init__(
        self,
        message: str,
        *,
        lost: bool = False,
        execution_id: str = "",
        report: Report = _NOTHING,
    ) -> None:
        super().__init__(message)
        self.lost = lost
        self.execution_id = execution_id
        self.report = report


class RunStoppedError(IsolateGoneError):
    """The server is stopping, and ended the isolate for that."""


@dataclass(slots=True, eq=False)
class Run:
    """One run: its future result, and the frames that it may send meanwhile."""

    start: messages.Start
    #: May be cancelled by who awaits it; the run itself goes on then.
    done: asyncio.Future[messages.Finished]
    opened: asyncio.Future[int] | None = None
    #: Answers an action's calls of other functions.
    on_call: OnCall | None = None
    work: Work = Work.CALL
    #: Whose it is among those who wait; see `pyconvex.runtime.isolates.backlog`.
    client: str = ""
    #: When it was queued and when it began, by the event loop's clock.
    queued_s: float = 0.0
    began_s: float = 0.0
    #: Counts up in the order in which runs were queued.
    number: int = 0
    #: True for what is left in an isolate of a run that was taken back: nobody waits for it.
    abandoned: bool = False
    #: Actions that this action called and waits for. Meanwhile its place is free for others, or
    #: nested actions could take all places and wait for one for ever.
    awaited_actions: int = 0
    #: Lines that it has told while it runs, how many lines and items, and who hears of them.
    told: list[LogLine] = field(default_factory=list)
    told_count: int = 0
    on_told: OnTold | None = None
    #: How it is to have ended, whatever it still reports: its time is over.
    verdict: str = ""
    #: Whether it was ever begun.
    has_begun: bool = False
    watcher: RunWatcher | None = None

    def begin(self, now_s: float) -> None:
        """It begins, as far as the server can tell; one that was taken back may begin again."""
        self.began_s = now_s
        if not self.has_begun:
            self.has_begun = True
            if self.watcher is not None:
                self.watcher.began(self)

    async def result(self) -> messages.Finished:
        """How the run ended, once it has. May be cancelled.

        Raises `IsolateGoneError`, or `HostError` when the server ended it.
        """
        return await self.done

    def finish(self, finished: messages.Finished) -> None:
        """It ended by itself."""
        if self.verdict:
            self.fail(self.gone(self.verdict, finished.report))
            return
        if not self.done.done():
            self.done.set_result(finished)
        self._tell_end()

    def gone(
        self, message: str, report: Report, *, lost: bool = False, stopping: bool = False
    ) -> IsolateGoneError:
        """How it ended, without an answer of its own."""
        error = RunStoppedError if stopping and not self.verdict else IsolateGoneError
        execution_id = self.start.execution_id
        return error(self.verdict or message, lost=lost, execution_id=execution_id, report=report)

    def tell(self, told: messages.Told) -> None:
        """It goes on and has told this."""
        if self.on_told is not None:
            self.on_told(told)
        self.told += told.lines
        self.told_count += len(told.lines) + len(told.items)

    def fail(self, error: BaseException) -> None:
        """It could not begin, or not end by itself."""
        for future in (self.done, self.opened):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # not every caller awaits `opened`
        self._tell_end()

    def _tell_end(self) -> None:
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.ended(self)


def new_run(
    start: messages.Start,
    *,
    on_call: OnCall | None = None,
    work: Work = Work.CALL,
    client: str = "",
) -> Run:
    """A run that nobody has queued yet; needs a running event loop."""
    loop = asyncio.get_running_loop()
    opened = loop.create_future() if start.announce else None
    return Run(start, loop.create_future(), opened, on_call, work, client)

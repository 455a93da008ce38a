"""One isolate as the server sees it, and how one ended.

Owns an isolate's channel, what runs in it, and its end. Never chooses what it runs. One invariant:
an isolate that is being ended gets nothing new.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyconvex.runtime.isolates.runs import Run
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.black_box import BoxReader
from pyconvex.runtime.processes.channel import LoopChannel

#: Signals that the processor or the C library sends to a process that does what can't be done.
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE}


#: The niceness of those that go last.
_LAST = 19


@dataclass(slots=True, eq=False)
class Isolate:
    """A process that runs functions."""

    isolate_id: int
    actions: bool
    #: What its runs tell; of use when it ends without a word.
    box: BoxReader
    channel: LoopChannel | None = None
    #: None until the template told it.
    pid: int | None = None
    #: How it exited, as from `waitpid`; None until the template told it.
    status: int | None = None
    runs: dict[int, Run] = field(default_factory=dict)
    #: Runs that have ended in it.
    ran: int = 0
    #: Memory of its own when it was new, in bytes; None where the system doesn't tell.
    memory_at_start: int | None = None
    #: True once it has been put behind others, for good: only a system's owner may undo that.
    demoted: bool = False
    #: True once it is to end when nothing runs in it any more.
    retiring: bool = False
    #: Why the server ends it at once; None while it is wanted.
    ending: str | None = None

    @property
    def places_taken(self) -> int:
        """Actions under way here that wait for no other action."""
        return sum(1 for run in self.runs.values() if not run.awaited_actions)

    @property
    def wanted(self) -> bool:
        """Whether it may get new runs, now or when it is connected."""
        return self.ending is None and not self.retiring

    @property
    def usable(self) -> bool:
        """Whether it may get new runs now."""
        return self.channel is not None and self.wanted

    def send(self, frame: messages.Frame) -> None:
        """Send it a frame; dropped when it is gone."""
        if self.channel is not None:
            self.channel.send(messages.encode(frame))

    def send_soon(self, frame: messages.Frame) -> None:
        """Send it a frame that need not begin before the server's turn ends."""
        if self.channel is not None:
            self.channel.send_soon(messages.encode(frame))

    def demote(self) -> None:
        """Let every other process go first from now on."""
        self.demoted = True
        if self.pid is not None:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.pid, _LAST)

    def retire(self) -> None:
        """Let it end by itself, now that nothing runs in it."""
        self.retiring = True
        if self.channel is not None:
            self.channel.close()

    def end(self, reason: str) -> None:
        """Kill it and what it started; its runs fail with `reason`."""
        self.ending = reason
        if self.pid is not None:
            end_group(self.pid)
        if self.channel is not None:
            self.channel.close()


def end_group(pid: int) -> None:
    """Kill an isolate and every process that its functions started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def how_it_ended(status: int | None, paths: Sequence[str]) -> str:
    """What to tell those whose runs an isolate took with it, which ran at `paths`.

    >>> how_it_ended(3 << 8, ["lib:leave"])
    "The function's process ended before the function did: it exited with status 3."
    """
    text = f"The function's process ended before the function did: {_how(status)}."
    if len(paths) > 1:
        text += f" It ran {', '.join(sorted(set(paths)))}."
    return text


def _how(status: int | None) -> str:
    if status is None:
        return "it crashed, exited or used too much memory"
    if not os.WIFSIGNALED(status):
        return f"it exited with status {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in _CRASHES:
        return f"it crashed ({name}), by C code or by calls nested too deep"
    if number == signal.SIGKILL:
        return f"it was killed ({name}), as systems do when memory is short"
    return f"it was ended by {name}"

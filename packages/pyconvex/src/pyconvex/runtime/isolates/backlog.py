"""Runs that wait for an isolate.

Owns their order: classes of work that share isolates by weight, in each the clients in turn,
and for each client first in, first out. Never starts a run. One invariant: no class and no client
waits for ever, however much of the others there is.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from pyconvex.runtime.isolates.runs import Run, Work

#: How often a class goes first while all of them wait.
WEIGHTS = {Work.CALL: 8, Work.RERUN: 4, Work.SCHEDULED: 1, Work.SUSPECT: 1}
#: Calls that wait at most, over all clients; each holds its arguments in memory.
MAX_WAITING_CALLS = 10_000


class Backlog:
    """The runs that wait for one kind of isolate."""

    def __init__(self) -> None:
        self._lines = {work: _Line() for work in Work}
        #: What a class has had, in turns over its weight; the one that had least goes first.
        self._had = dict.fromkeys(Work, 0.0)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Run]:
        for line in self._lines.values():
            yield from line

    @property
    def full(self) -> bool:
        """True when no more calls may wait."""
        calls = self._lines[Work.CALL].length + self._lines[Work.SUSPECT].length
        return calls >= MAX_WAITING_CALLS

    def push(self, run: Run) -> None:
        """Queue a run behind all of its client's."""
        self._join(run.work)
        self._lines[run.work].push(run)
        self._length += 1

    def push_front(self, run: Run) -> None:
        """Queue a run that was popped before, ahead of all of its class."""
        self._join(run.work)
        self._lines[run.work].push_front(run)
        self._length += 1

    def peek(self, *, bounded: bool = True) -> Run | None:
        """What `pop` would give."""
        work = self._next_class(bounded)
        return None if work is None else self._lines[work].first

    def pop(self, *, bounded: bool = True) -> Run | None:
        """The run whose turn it is, None if none waits; without bounded work if so asked."""
        work = self._next_class(bounded)
        if work is None:
            return None
        self._had[work] += 1 / WEIGHTS[work]
        self._length -= 1
        return self._lines[work].pop()

    def take_all(self) -> list[Run]:
        """Everything that waits, each client's runs in order."""
        runs = list(self)
        for line in self._lines.values():
            line.clear()
        self._length = 0
        return runs

    def take_calls_queued_before(self, moment_s: float) -> list[Run]:
        """The calls that have waited since before `moment_s`; other work waits without limit."""
        taken = [
            run
            for work in Work
            if work.is_call
            for run in self._lines[work].take_queued_before(moment_s)
        ]
        self._length -= len(taken)
        return taken

    def _next_class(self, bounded: bool) -> Work | None:
        waiting = [
            work
            for work, line in self._lines.items()
            if line.length and (bounded or not work.is_bounded)
        ]
        return min(waiting, key=self._had.__getitem__, default=None)

    def _join(self, work: Work) -> None:
        """A class that had nothing to do gets no credit for it."""
        if self._lines[work].length:
            return
        busy = [self._had[other] for other, line in self._lines.items() if line.length]
        if busy:
            self._had[work] = max(self._had[work], min(busy))
        else:
            self._had = dict.fromkeys(Work, 0.0)


class _Line:
    """The runs of one class: clients in turn, each with its runs in order."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[Run]] = OrderedDict()
        self.length = 0

    def __iter__(self) -> Iterator[Run]:
        for runs in self._clients.values():
            yield from runs

    @property
    def first(self) -> Run:
        return next(iter(self._clients.values()))[0]

    def push(self, run: Run) -> None:
        self._clients.setdefault(run.client, deque()).append(run)
        self.length += 1

    def push_front(self, run: Run) -> None:
        self._clients.setdefault(run.client, deque()).appendleft(run)
        self._clients.move_to_end(run.client, last=False)
        self.length += 1

    def pop(self) -> Run:
        client, runs = next(iter(self._clients.items()))
        run = runs.popleft()
        self.length -= 1
        if runs:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        return run

    def clear(self) -> None:
        self._clients.clear()
        self.length = 0

    def take_queued_before(self, moment_s: float) -> list[Run]:
        taken = []
        for client, runs in list(self._clients.items()):
            while runs and runs[0].queued_s < moment_s:
                taken.append(runs.popleft())
            if not runs:
                del self._clients[client]
        self.length -= len(taken)
        return taken

"""The isolates that run queries and mutations, one at a time each.

Owns which of them runs what: who is idle, what is lined up, which run is slow and which is over its
limits. Never starts a process itself; it asks for forks. One invariant: a run that was adopted is
waiting, lined up or under way, and in one of these places only.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from pyconvex.runtime.calls import HostError
from pyconvex.runtime.isolates.backlog import Backlog
from pyconvex.runtime.isolates.isolate_process import Isolate
from pyconvex.runtime.isolates.runs import Run, Work
from pyconvex.runtime.processes.usage import cpu_seconds, own_memory
from pyconvex.runtime.running.limits import (
    MAX_GROWTH_BYTES,
    PURE_CPU_LIMIT_S,
    PURE_MEMORY_LIMIT_BYTES,
    PURE_WAIT_LIMIT_S,
    PURE_WALL_LIMIT_S,
    out_of_memory,
)

#: A run longer than this gets a spare isolate beside it, in seconds.
SLOW_RUN_S = 0.05
#: A run that takes so long lets others go first, in seconds on the clock: it waits for nothing but
#: the processor. Its isolate ends after it.
DEMOTE_AFTER_S = 0.25
#: How long it is held against a function that it took its isolate with it, in seconds.
SUSPECT_S = 30.0
#: How long isolates beyond the minimum are kept when nothing needs them, in seconds.
SPARES_KEPT_S = 10.0
#: How often runs are looked at while there are any, in seconds.
WATCH_INTERVAL_S = 0.025
#: Runs between two looks at an isolate's memory.
RUNS_BETWEEN_LOOKS = 256
#: So much is lined up behind a run, in milliseconds that runs usually take: a frame, a wakeup and a
#: snapshot cost as much as a short run, and several frames come at the price of one. What turns out
#: to be slow holds back no more than this.
LINE_MS = 0.5
#: The most that is lined up.
MAX_LINE = 8
#: How much the newest run counts in what runs usually take; the first ones are lined up one by one.
WEIGHT_OF_NEWEST = 1 / 16


class PureIsolates:
    """Runs queries and mutations in isolates that `fork` makes.

    `minimum` isolates are kept ready; at most `maximum` exist when runs are slow. Each ends after
    `runs_each`.
    """

    def __init__(
        self, fork: Callable[[], Isolate | None], *, minimum: int, maximum: int, runs_each: int
    ) -> None:
        self._fork = fork
        self._minimum = minimum
        self._maximum = maximum
        self._runs_each = runs_each
        #: Scheduled work and suspects never fill all isolates.
        self._bounded_maximum = max(1, maximum // 2)
        #: Functions that took their isolate with them, and until when that is held against them.
        self._suspects: dict[tuple[str, str], float] = {}
        self._isolates: dict[int, Isolate] = {}
        self._idle: deque[Isolate] = deque()
        #: Sent already, by isolate, to begin one after another when the run under way ends: between
        #: two runs an isolate would otherwise wait for the server's next turn.
        self._lined_up: dict[Isolate, deque[Run]] = {}
        #: What runs usually take, in milliseconds of the processor.
        self._usual_ms = 2 * LINE_MS
        #: Isolates whose run takes long, with the processor time it had used when that showed.
        self._slow: dict[Isolate, float | None] = {}
        self.backlog = Backlog()
        self._loop = asyncio.get_running_loop()
        self._watching: asyncio.TimerHandle | None = None
        self._shrinking: asyncio.TimerHandle | None = None
        #: Run ids for runs that are sent a second time; far from those that hosts count up.
        self._second_ids = itertools.count(1 << 62)
        self._numbers = itertools.count()

    @property
    def idle(self) -> int:
        """Isolates that wait for a run."""
        return len(self._idle)

    def fill(self) -> None:
        """Fork what is missing to the minimum."""
        missing = self._minimum - sum(1 for i in self._isolates.values() if i.wanted)
        for _ in range(missing):
            if not self._add():
                return

    def adopt(self, run: Run) -> None:
        """Queue a run; it begins as soon as its turn and an isolate have come."""
        run.queued_s, run.number = self._loop.time(), next(self._numbers)
        if self._suspects and run.work is Work.CALL and self._is_suspect(run):
            run.work = Work.SUSPECT
        if run.work.is_call and self.backlog.full:
            run.fail(_too_many(self._maximum))
            return
        if self.backlog or not self._begins_at_once(run):
            self.backlog.push(run)
            self._dispatch()
        self._watch()

    def hand_over(self) -> Iterator[Run]:
        """Take back what has not begun."""
        taken = [run for isolate in self._lined_up for run in self._take_back(isolate)]
        yield from sorted(taken, key=lambda run: run.number)
        yield from self.backlog.take_all()

    def ready(self, isolate: Isolate) -> None:
        """A fork has connected."""
        isolate.memory_at_start = own_memory(isolate.pid)
        self._idle.append(isolate)
        self._dispatch()

    def freed(self, isolate: Isolate, took_ms: float) -> None:
        """The run under way in an isolate has ended; it took so long of the processor."""
        self._slow.pop(isolate, None)
        self._usual_ms += (took_ms - self._usual_ms) * WEIGHT_OF_NEWEST
        if isolate.ending is not None:
            return
        line = self._lined_up.get(isolate)
        if line is not None:
            self._under_way(isolate, line.popleft())
            if not line:
                del self._lined_up[isolate]
        elif self._used_up(isolate):
            isolate.retire()
            self.fill()
        elif isolate.usable:
            self._idle.append(isolate)
        if self.backlog:
            self._dispatch()

    def lost(self, isolate: Isolate) -> None:
        """An isolate is gone, or takes nothing more; its runs are somebody else's to end."""
        for run in isolate.runs.values():
            self._suspect(run)
        self._isolates.pop(isolate.isolate_id, None)
        self._slow.pop(isolate, None)
        if isolate in self._idle:
            self._idle.remove(isolate)
        self._put_back(isolate)
        self._lined_up.pop(isolate, None)
        self.fill()
        self._dispatch()
        self._watch()

    # Dispatch

    def _begins_at_once(self, run: Run) -> bool:
        """Begin a run or line it up, if nothing else waits and an isolate has room."""
        if not self._has_place(run.work):
            return False
        if self._idle:
            self._begin(self._idle.popleft(), run)
            return True
        isolate = self._with_room()
        if isolate is None or run.opened is not None:
            return False
        self._line_up(isolate, run)
        return True

    def _dispatch(self) -> None:
        """Begin or line up what waits, as far as there is room."""
        while (run := self._next()) is not None and self._begins_at_once(run):
            self.backlog.pop(bounded=run.work.is_bounded)
        if self.backlog and self._runs_each == 1:
            self._fork_for_all()

    def _next(self) -> Run | None:
        """Whose turn it is among those that may begin."""
        run = self.backlog.peek()
        if run is not None and not self._has_place(run.work):
            return self.backlog.peek(bounded=False)
        return run

    def _begin(self, isolate: Isolate, run: Run) -> None:
        isolate.send(run.start)
        self._under_way(isolate, run)

    def _under_way(self, isolate: Isolate, run: Run) -> None:
        """A run begins now, as far as the server can tell: its limits count from here."""
        isolate.runs[run.start.run_id] = run
        run.begin(self._loop.time())

    def _line_up(self, isolate: Isolate, run: Run) -> None:
        self._lined_up.setdefault(isolate, deque()).append(run)
        isolate.send_soon(run.start)

    def _with_room(self) -> Isolate | None:
        """The busy isolate with the shortest line in which there is room for one more."""
        most = max(1, min(MAX_LINE, int(LINE_MS / max(self._usual_ms, 0.001))))
        found = None
        for isolate in self._isolates.values():
            line = self._lined_up.get(isolate, ())
            if len(line) < most and self._may_line_up(isolate, len(line)):
                found, most = isolate, len(line)
        return found

    def _may_line_up(self, isolate: Isolate, before: int) -> bool:
        will_have_run = isolate.ran + 1 + before
        return (
            bool(isolate.runs)
            and isolate not in self._slow
            and isolate.usable
            and will_have_run < self._runs_each
            # Its memory is looked at with nothing lined up.
            and will_have_run % RUNS_BETWEEN_LOOKS != 0
        )

    def _take_back(self, isolate: Isolate) -> list[Run]:
        """Take the runs that are lined up off an isolate, to begin elsewhere.

        The isolate may still run them, which changes nothing: only a run's answer has effects, and
        those answers are now for nobody.
        """
        line = self._lined_up.get(isolate)
        if line is None:
            return []
        taken = [run for run in line if not run.abandoned]
        self._lined_up[isolate] = deque(
            run if run.abandoned else Run(run.start, self._loop.create_future(), abandoned=True)
            for run in line
        )
        for run in taken:
            run.start = msgspec.structs.replace(run.start, run_id=next(self._second_ids))
        return taken

    def _put_back(self, isolate: Isolate) -> None:
        """Have the runs that are lined up behind one begin elsewhere, before others."""
        for run in reversed(self._take_back(isolate)):
            self.backlog.push_front(run)

    def _has_place(self, work: Work) -> bool:
        """Whether one more run of this kind may begin."""
        if not work.is_bounded:
            return True
        limit = self._bounded_maximum
        if work is Work.SUSPECT:  # they take isolates with them: leave some that are there now
            limit = min(limit, max(1, sum(1 for i in self._isolates.values() if i.usable) // 2))
        under_way = (run for i in self._isolates.values() for run in i.runs.values())
        running = itertools.chain(under_way, *self._lined_up.values())
        return sum(run.work.is_bounded for run in running) < limit

    def _is_suspect(self, run: Run) -> bool:
        until_s = self._suspects.get((run.start.component, run.start.path))
        return until_s is not None and run.queued_s < until_s

    def _suspect(self, run: Run) -> None:
        """A run takes its isolate with it: others of its function go behind those of others."""
        now_s = self._loop.time()
        self._suspects = {what: until for what, until in self._suspects.items() if until > now_s}
        self._suspects[run.start.component, run.start.path] = now_s + SUSPECT_S

    # Isolates

    def _add(self) -> bool:
        isolate = self._fork()
        if isolate is None:
            return False
        self._isolates[isolate.isolate_id] = isolate
        return True

    def _fork_for_all(self) -> None:
        """Where each isolate runs once, none comes free: fork for all that wait."""
        coming = sum(1 for i in self._isolates.values() if i.channel is None)
        for _ in range(len(self.backlog) - coming):
            if len(self._isolates) >= self._maximum or not self._add():
                return

    def _used_up(self, isolate: Isolate) -> bool:
        if isolate.ran >= self._runs_each or isolate.demoted:
            return True
        return isolate.ran % RUNS_BETWEEN_LOOKS == 0 and _growth(isolate) > MAX_GROWTH_BYTES

    # Limits

    def _watch(self) -> None:
        if self._watching is None:
            self._watching = self._loop.call_later(WATCH_INTERVAL_S, self._look)

    def _look(self) -> None:
        """Look at what runs and waits, for as long as something does."""
        self._watching = None
        now_s = self._loop.time()
        busy = [i for i in self._isolates.values() if i.runs and i.ending is None]
        for isolate in busy:
            for run in list(isolate.runs.values()):
                self._look_at(isolate, run, now_s)
        for run in self.backlog.take_calls_queued_before(now_s - PURE_WAIT_LIMIT_S):
            run.fail(_too_many(self._maximum))
        if busy or self.backlog:
            self._watch()
        elif self._shrinking is None and len(self._isolates) > self._minimum:
            self._shrinking = self._loop.call_later(SPARES_KEPT_S, self._shrink)

    def _shrink(self) -> None:
        """Let go of idle isolates beyond the minimum."""
        self._shrinking = None
        while self._idle and len(self._isolates) > self._minimum:
            isolate = self._idle.pop()
            del self._isolates[isolate.isolate_id]
            isolate.retire()

    def _look_at(self, isolate: Isolate, run: Run, now_s: float) -> None:
        elapsed_s = now_s - run.began_s
        if elapsed_s < SLOW_RUN_S:
            return
        if isolate not in self._slow:
            # One whose process id is still to be told has just been forked, and has used nothing.
            self._slow[isolate] = 0.0 if isolate.pid is None else cpu_seconds(isolate.pid)
            self._make_room(isolate)
        used_s = _used_s(isolate, self._slow[isolate], elapsed_s)
        if elapsed_s >= DEMOTE_AFTER_S and not isolate.demoted:
            isolate.demote()
        if used_s >= PURE_CPU_LIMIT_S or elapsed_s >= PURE_WALL_LIMIT_S:
            isolate.end(f"Function execution timed out (maximum duration: {PURE_CPU_LIMIT_S:g}s)")
        elif _growth(isolate) > PURE_MEMORY_LIMIT_BYTES:
            isolate.end(out_of_memory(actions=False))

    def _make_room(self, isolate: Isolate) -> None:
        """A run takes long: what waits behind it goes elsewhere, and a spare is kept ready."""
        self._put_back(isolate)
        total = len(self._isolates)
        busy = sum(1 for i in self._isolates.values() if i.runs)
        forking = any(i.channel is None for i in self._isolates.values())
        if total - busy < self._minimum and total < self._maximum and not forking:
            self._add()
        self._dispatch()


def _used_s(isolate: Isolate, cpu_before: float | None, elapsed_s: float) -> float:
    """What a run has computed: waiting for a busy processor doesn't count, where that is known."""
    if isolate.pid is None:
        return 0.0
    cpu = cpu_seconds(isolate.pid)
    return elapsed_s if cpu is None or cpu_before is None else cpu - cpu_before + SLOW_RUN_S


def _growth(isolate: Isolate) -> int:
    """Bytes that an isolate has gained since it was new; 0 where the system doesn't tell."""
    before, now = isolate.memory_at_start, own_memory(isolate.pid)
    return 0 if before is None or now is None else now - before


def _too_many(limit: int) -> HostError:
    return HostError(
        429,
        "TooManyConcurrentRequests",
        "Too many concurrent requests. Your backend is limited to "
        f"{limit} concurrent queries and mutations. To resolve this issue, make functions faster, "
        "or start the server with more isolates.",
    )

"""The newest executions, in memory: what `logs` commands follow.

Owns their order and their number. Never keeps anything beyond the process. One invariant: cursors
grow, also across restarts, so who comes back with an old one is told what is new and nothing twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from msgspec.structs import replace

from pyconvex.runlog.record import RunRecord

#: Executions kept (Convex: `MAX_UDF_EXECUTION`).
MAX_EXECUTIONS = 1000
#: What their lines and errors may take together, in characters.
MAX_CHARACTERS = 32 * 1024 * 1024


class RecentRuns:
    """Keeps the newest executions, and wakes who waits for the next."""

    def __init__(
        self,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
        *,
        limit: int = MAX_EXECUTIONS,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        self._now_ms = now_ms
        self._limit = limit
        self._max_characters = max_characters
        self._kept: deque[tuple[int, RunRecord]] = deque()
        self._characters = 0
        #: A cursor of an earlier process is behind this one, too.
        self._cursor = self._forgotten = int(now_ms())
        self._waiting: asyncio.Event | None = None
        self._closed = False

    @property
    def cursor(self) -> int:
        """The newest record's cursor."""
        return self._cursor

    def add(self, record: RunRecord) -> None:
        """An execution ended, or has told lines and goes on."""
        self._cursor = max(self._cursor + 1, int(self._now_ms()))
        if record.report.items:  # which nobody asks for here
            record = replace(record, report=replace(record.report, items=()))
        self._kept.append((self._cursor, record))
        self._characters += _characters(record)
        while len(self._kept) > self._limit or self._characters > self._max_characters:
            self._forgotten, oldest = self._kept.popleft()
            self._characters -= _characters(oldest)
        self._wake()

    def after(self, cursor: float) -> Sequence[RunRecord]:
        """What came after a cursor, oldest first."""
        newer = takewhile(lambda kept: kept[0] > cursor, reversed(self._kept))
        return [record for _, record in newer][::-1]

    def missed(self, cursor: float) -> bool:
        """Whether something that came after a cursor is not known any more."""
        return cursor < self._forgotten

    async def wait(self, cursor: float, limit_s: float) -> None:
        """Return once there is something after the cursor, the time is up, or all is over."""
        try:
            async with asyncio.timeout(limit_s):
                while self._cursor <= cursor and not self._closed:
                    if self._waiting is None:
                        self._waiting = asyncio.Event()
                    await self._waiting.wait()
        except TimeoutError:
            pass

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._closed

    def close(self) -> None:
        """Nobody waits any longer."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None


def _characters(record: RunRecord) -> int:
    report = record.report
    lines = sum(len(line.text) for line in report.lines) if report.lines else 0
    return len(record.error) + len(report.exception) + lines

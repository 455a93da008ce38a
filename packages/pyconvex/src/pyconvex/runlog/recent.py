"""The newest executions, in memory: what `logs` commands follow.

Owns their order and their number. Never keeps anything beyond the process. One invariant: cursors
grow, also across restarts, so who comes back with an old one is told what is new and nothing twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from pyconvex.runlog.record import RunRecord

#: Executions kept (Convex: `MAX_UDF_EXECUTION`).
MAX_EXECUTIONS = 1000


class RecentRuns:
    """Keeps the newest executions, and wakes who waits for the next.

    Lines of a run that goes on are entries of their own, with the record as far as it is known.
    """

    def __init__(self, now_ms: Callable[[], float], *, limit: int = MAX_EXECUTIONS) -> None:
        self._now_ms = now_ms
        self._told: deque[tuple[int, RunRecord, bool]] = deque(maxlen=limit)
        self._cursor = int(now_ms())
        self._waiting: asyncio.Event | None = None

    @property
    def cursor(self) -> int:
        """The newest entry's cursor."""
        return self._cursor

    def add(self, record: RunRecord, *, ended: bool = True) -> None:
        """A run ended, or goes on and has told the lines of this record."""
        self._cursor = max(self._cursor + 1, int(self._now_ms()))
        self._told.append((self._cursor, record, ended))
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    def after(self, cursor: float) -> Sequence[tuple[RunRecord, bool]]:
        """What came after a cursor, oldest first; whether each run has ended."""
        newer = takewhile(lambda told: told[0] > cursor, reversed(self._told))
        return [(record, ended) for _, record, ended in newer][::-1]

    async def wait(self, cursor: float, limit_s: float) -> None:
        """Return once there is something after the cursor, or the time is up."""
        try:
            async with asyncio.timeout(limit_s):
                while self._cursor <= cursor:
                    if self._waiting is None:
                        self._waiting = asyncio.Event()
                    await self._waiting.wait()
        except TimeoutError:
            pass

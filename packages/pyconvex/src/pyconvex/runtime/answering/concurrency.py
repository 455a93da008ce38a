"""How many functions run and wait.

Owns the counts and their peaks, by kind of function. Never looks at a clock. One invariant: every
run that was counted in is counted out once, however it ends.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from pyconvex.runtime.isolates.runs import Run


class Peak(NamedTuple):
    """The most that ran, and the most that waited, not necessarily at one moment."""

    running: int = 0
    queued: int = 0


NO_PEAK = Peak()


class Concurrency:
    """Counts the runs of one host."""

    def __init__(self) -> None:
        self._running: defaultdict[str, int] = defaultdict(int)
        self._queued: defaultdict[str, int] = defaultdict(int)
        self._peaks: dict[str, Peak] = {}

    def count(self, run: Run) -> None:
        """Follow a run that was just submitted to its end."""
        self._change(run.start.kind, +1, running=run.has_begun)
        if run.done.done():  # it was refused
            self.ended(run)
        else:
            run.watcher = self

    def began(self, run: Run) -> None:
        """A run that waited begins."""
        self._change(run.start.kind, -1, running=False)
        self._change(run.start.kind, +1, running=True)

    def ended(self, run: Run) -> None:
        """A run that was counted has ended."""
        self._change(run.start.kind, -1, running=run.has_begun)

    def take_peaks(self) -> dict[str, Peak]:
        """The peaks since the last call, by kind."""
        peaks, self._peaks = self._peaks, {}
        for kind in {*self._running, *self._queued}:
            self._note(kind)
        return peaks

    def _change(self, kind: str, by: int, *, running: bool) -> None:
        counts = self._running if running else self._queued
        counts[kind] += by
        if by > 0:
            self._note(kind)

    def _note(self, kind: str) -> None:
        running, queued = self._running[kind], self._queued[kind]
        peak = self._peaks.get(kind, NO_PEAK)
        if running > peak.running or queued > peak.queued:
            self._peaks[kind] = Peak(max(peak.running, running), max(peak.queued, queued))

"""What is due, what is next.

Owns the decision which entries of a queue start now and when to look again, without I/O and without
a clock, and the pauses before something is tried again. Never starts anything. One invariant: an
entry is started at most once until its end was told, and never more than `parallel` run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar


class Entry(Protocol):
    """Something that is to be done at a time."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def due_ms(self) -> float:
        """When, in milliseconds since 1970."""


E = TypeVar("E", bound=Entry)


class Plan(NamedTuple, Generic[E]):
    """What to start now, and when to look again; None for when something ends or changes."""

    start: list[E]
    look_at_ms: float | None


class Agenda(Generic[E]):
    """What runs of one queue, at most `parallel` at a time.

    `plan` with the first `rows_needed` entries of the queue, whenever they may have changed; tell
    the end of each that was started with `ended`.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._running: set[str] = set()

    @property
    def rows_needed(self) -> int:
        """How many entries of the queue decide: those that run may stand in it too."""
        return self._parallel + 1

    def plan(self, rows: Sequence[E], now_ms: float) -> Plan[E]:
        """Start what is due and has a place; `rows` are in the order in which they are due."""
        idle = [row for row in rows if row.id not in self._running]
        free = self._parallel - len(self._running)
        start = [row for row in idle if row.due_ms <= now_ms][:free]
        self._running.update(row.id for row in start)
        waiting = idle[len(start) :]
        has_place = len(self._running) < self._parallel
        return Plan(start, waiting[0].due_ms if waiting and has_place else None)

    @property
    def running(self) -> int:
        """How many run."""
        return len(self._running)

    def lag_ms(self, rows: Sequence[E], now_ms: float) -> float:
        """How long the first of these entries that does not run is overdue; 0 when none is."""
        due_ms = next((row.due_ms for row in rows if row.id not in self._running), now_ms)
        return max(0.0, now_ms - due_ms)

    def ended(self, entry: E) -> None:
        """This entry does not run any more."""
        self._running.discard(entry.id)


def full_jitter_s(attempt: int, first_s: float, last_s: float, source: random.Random) -> float:
    """A pause before another attempt: up to `first_s`, doubled by each one before, up to `last_s`.

    Anything below is as likely as anything else, so that those who met at once part.
    """
    return source.uniform(0.0, min(last_s, first_s * 2.0 ** min(attempt, 64)))

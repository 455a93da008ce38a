"""Rows on their way into a batch.

Owns the limits and the buffer that cuts batches by count, bytes and age. Never looks into rows and
never reads a clock. One invariant: rows come out in the order in which they went in, each once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from pyconvex.storage import Position


class Row(Protocol):
    """Something to carry, of a queue or of the run log."""

    @property
    def position(self) -> Position:
        """Its place among the others."""

    @property
    def size(self) -> int:
        """How many bytes it counts for."""


#: The rows of one lane.
R = TypeVar("R", bound=Row)


class Limits(msgspec.Struct, frozen=True):
    """When a batch is full: at the first of these."""

    #: Five times what PostHog's SDKs flush at: a backlog of hours leaves in minutes.
    max_rows: int = 500
    #: Rows before compression; well under PostHog's 20 MB for a request.
    max_bytes: int = 4 * 1024 * 1024
    #: How long the first row waits for company. Short, so that a person who clicks sees the event.
    max_age_s: float = 0.5


class Buffer(Generic[R]):
    """Rows that were read and belong to no batch yet."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows: list[R] = []
        self._bytes = 0
        #: When the oldest row in here arrived; None while empty.
        self._since: float | None = None
        #: Rows a batch, at most; lowered when a receiver finds batches too large.
        self._max_rows = limits.max_rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> tuple[R, ...]:
        """What is inside, oldest first."""
        return tuple(self._rows)

    @property
    def room(self) -> tuple[int, int]:
        """How many rows and bytes are missing to a full batch; not positive when it is full."""
        return self._max_rows - len(self._rows), self._limits.max_bytes - self._bytes

    @property
    def full(self) -> bool:
        """Whether a batch can be cut whatever its age."""
        return min(self.room) <= 0

    @property
    def due_at(self) -> float | None:
        """When the rows have waited long enough; None while empty."""
        return None if self._since is None else self._since + self._limits.max_age_s

    def waits(self, now: float) -> bool:
        """Whether rows inside still wait for company."""
        return self.due_at is not None and now < self.due_at

    def add(self, rows: Sequence[R], now: float) -> None:
        """Take rows that follow those inside."""
        self._rows += rows
        self._bytes += sum(row.size for row in rows)
        if self._rows and self._since is None:
            self._since = now

    def cut(self, now: float) -> tuple[R, ...] | None:
        """The next batch when one is full or due, else None."""
        if self.due_at is None or not (self.full or now >= self.due_at):
            return None
        size = self._rows_that_fit()
        batch, self._rows = tuple(self._rows[:size]), self._rows[size:]
        self._bytes -= sum(row.size for row in batch)
        if not self._rows:
            self._since = None
        return batch

    def shrink(self, max_rows: int) -> None:
        """A batch was too large: cut smaller ones from now on."""
        self._max_rows = max(1, max_rows)

    def grow(self) -> None:
        """A batch was accepted: dare a little more, up to the limit again.

        Little, so that a receiver with a bound is asked for too much once in some twenty batches.
        """
        step = 1 + self._max_rows // 32
        self._max_rows = min(self._limits.max_rows, self._max_rows + step)

    def _rows_that_fit(self) -> int:
        size = total = 0
        for row in self._rows[: self._max_rows]:
            total += row.size
            if size and total > self._limits.max_bytes:
                break
            size += 1
        return size

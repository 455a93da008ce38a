"""Queue rows on disk: bounded appends, acknowledgement, and the rows that nobody would take.

Owns the levels and counters of every queue. Never fails a mutation: a row that finds its queue full
is dropped and counted. One invariant: a level on disk equals the rows that are there, because both
change in one transaction; what a rolled back transaction staged is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import msgspec

from pyconvex.storage.model import Position, QueueAppend, QueueStats

MAX_QUEUE_BYTES = 10 * 1024**3  # outages of days at hundreds of events a second
MAX_QUEUE_ROWS = 50_000_000  # bounds the index pages when rows are tiny
MAX_QUEUE_AGE_NS = 7 * 24 * 3600 * 10**9  # older events are refused by receivers anyway
MAX_SET_ASIDE_ROWS = 10_000  # a queue; the oldest go first

_LEVEL = "SELECT queue, rows, bytes, oldest_ts, appended, dropped, acknowledged, set_aside"
_SELECT_ASIDE = "SELECT body FROM set_aside WHERE queue = ? AND ts = ? AND seq = ?"
_DELETE_ASIDE = "DELETE FROM set_aside WHERE queue = ? AND ts = ? AND seq = ?"


@dataclass(frozen=True)
class QueueBounds:
    """Beyond any of these a queue takes no more rows."""

    max_bytes: int = MAX_QUEUE_BYTES
    max_rows: int = MAX_QUEUE_ROWS
    max_age_ns: int = MAX_QUEUE_AGE_NS
    max_set_aside_rows: int = MAX_SET_ASIDE_ROWS


class Queues:
    """The queues of one store. Every method but `stats`, `settle` and `forget` runs inside the
    store's open transaction; `settle` follows its commit and `forget` its rollback."""

    def __init__(self, db: apsw.Connection, bounds: QueueBounds) -> None:
        self._db = db
        self._bounds = bounds
        self._levels = {
            row[0]: QueueStats(*row[1:]) for row in db.execute(f"{_LEVEL} FROM queue_levels")
        }
        self._staged: dict[int, QueueStats] = {}

    def stats(self, queue: int) -> QueueStats:
        return self._levels.get(queue, QueueStats())

    def append(self, ts: int, appends: Sequence[QueueAppend]) -> dict[int, QueueStats]:
        """Write the rows that fit; returns the new levels, to be given to `stage` once the
        proposal stands."""
        levels: dict[int, QueueStats] = {}
        for seq, row in enumerate(appends):
            level = levels.get(row.queue) or self._level(row.queue)
            if self._is_full(level, len(row.body), ts):
                levels[row.queue] = msgspec.structs.replace(level, dropped=level.dropped + 1)
                continue
            self._db.execute(
                "INSERT INTO queue (queue, ts, seq, body) VALUES (?, ?, ?, ?)",
                (row.queue, ts, seq, row.body),
            )
            levels[row.queue] = msgspec.structs.replace(
                level,
                rows=level.rows + 1,
                bytes=level.bytes + len(row.body),
                oldest_ts=ts if level.oldest_ts is None else level.oldest_ts,
                appended=level.appended + 1,
            )
        return levels

    def dropped_by(self, levels: dict[int, QueueStats]) -> int:
        """How many rows `append` could not place."""
        return sum(level.dropped - self._level(queue).dropped for queue, level in levels.items())

    def stage(self, levels: dict[int, QueueStats]) -> None:
        self._staged.update(levels)

    def acknowledge(self, queue: int, through: Position) -> int:
        """Delete every row up to and including `through`; returns how many there were."""
        bound = (queue, through.ts, through.seq)
        rows, size = self._db.execute(
            "SELECT count(*), ifnull(sum(length(body)), 0) FROM queue"
            " WHERE queue = ? AND (ts, seq) <= (?, ?)",
            bound,
        ).get
        self._db.execute("DELETE FROM queue WHERE queue = ? AND (ts, seq) <= (?, ?)", bound)
        level = self._level(queue)
        self._staged[queue] = msgspec.structs.replace(
            level,
            rows=level.rows - rows,
            bytes=level.bytes - size,
            oldest_ts=self._oldest(queue),
            acknowledged=level.acknowledged + rows,
        )
        return int(rows)

    def set_aside(self, queue: int, position: Position, reason: str) -> bool:
        """Move one row out of the way with its reason; False if it is no longer queued."""
        at = (queue, position.ts, position.seq)
        body = self._db.execute(
            "DELETE FROM queue WHERE queue = ? AND ts = ? AND seq = ? RETURNING body", at
        ).get
        if body is None:
            return False
        self._db.execute("INSERT INTO set_aside VALUES (?, ?, ?, ?, ?)", (*at, body, reason))
        self._db.execute(
            "DELETE FROM set_aside WHERE queue = ?1 AND (ts, seq) <= (SELECT ts, seq FROM set_aside"
            " WHERE queue = ?1 ORDER BY ts DESC, seq DESC LIMIT 1 OFFSET ?2)",
            (queue, self._bounds.max_set_aside_rows),
        )
        level = self._level(queue)
        self._staged[queue] = msgspec.structs.replace(
            level,
            rows=level.rows - 1,
            bytes=level.bytes - len(body),
            oldest_ts=self._oldest(queue),
            set_aside=level.set_aside + 1,
        )
        return True

    def put_back(self, queue: int, ts: int, positions: Sequence[Position]) -> tuple[int, int]:
        """Move rows that were set aside to the end of their queue, in their order, as they were.

        Returns how many went, and how many stay because the queue is full. Rows that are not set
        aside any more are passed over. They can't go back to where they stood: a lane deletes
        everything up to the last row that it delivered.
        """
        level, moved, left = self._level(queue), 0, 0
        for position in sorted(positions):
            at = (queue, position.ts, position.seq)
            body = self._db.execute(_SELECT_ASIDE, at).get
            if body is None:
                continue
            if left or self._is_full(level, len(body), ts):
                left += 1
                continue
            self._db.execute(_DELETE_ASIDE, at)
            self._db.execute("INSERT INTO queue VALUES (?, ?, ?, ?)", (queue, ts, moved, body))
            level = msgspec.structs.replace(
                level,
                rows=level.rows + 1,
                bytes=level.bytes + len(body),
                oldest_ts=ts if level.oldest_ts is None else level.oldest_ts,
                set_aside=level.set_aside - 1,
            )
            moved += 1
        self._staged[queue] = level
        return moved, left

    def discard(self, queue: int, positions: Sequence[Position]) -> int:
        """Forget rows that were set aside; returns how many were there."""
        gone = 0
        for position in positions:
            at = (queue, position.ts, position.seq)
            self._db.execute(_DELETE_ASIDE, at)
            gone += self._db.changes()
        return gone

    def write_levels(self) -> None:
        """Put the staged levels on disk, once for the whole transaction."""
        for queue, level in self._staged.items():
            self._db.execute(
                "INSERT OR REPLACE INTO queue_levels VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (queue, *msgspec.structs.astuple(level)),
            )

    def settle(self) -> None:
        if self._staged:
            self._levels.update(self._staged)
            self._staged = {}

    def forget(self) -> None:
        self._staged = {}

    def _level(self, queue: int) -> QueueStats:
        return self._staged.get(queue) or self.stats(queue)

    def _is_full(self, level: QueueStats, size: int, ts: int) -> bool:
        bounds = self._bounds
        too_old = level.oldest_ts is not None and ts - level.oldest_ts > bounds.max_age_ns
        return too_old or level.rows >= bounds.max_rows or level.bytes + size > bounds.max_bytes

    def _oldest(self, queue: int) -> int | None:
        oldest: int | None = self._db.execute(
            "SELECT ts FROM queue WHERE queue = ? ORDER BY ts, seq LIMIT 1", (queue,)
        ).get
        return oldest

"""Running a lane over a queue.

Owns reading the queue's rows and asking the server to delete them. Never deletes any itself. One
invariant: rows leave the queue in the order in which they were committed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyconvex.delivery.drain_runner import DrainRunner
from pyconvex.delivery.lane import QueueLane, QueueReport
from pyconvex.delivery.messages import Ack, SetAsideRow
from pyconvex.delivery.runner import Surroundings
from pyconvex.delivery.transport import Request
from pyconvex.storage import START, Position, QueueRow, QueueStats
from pyconvex.values import codec


class QueueRunner(DrainRunner[QueueRow]):
    """Drains a queue through its lane class."""

    meanwhile = ", rows stay in the queue"

    def __init__(self, component: str, lane: QueueLane, queue: int, world: Surroundings) -> None:
        super().__init__(component, lane, world, START)
        self._encode = lane.encode
        self._queue_name = lane.queue
        self.queue = queue

    def _read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[QueueRow], bool]:
        return self._world.source.read(self.queue, after, max_rows, max_bytes)

    def report(self, stats: QueueStats) -> QueueReport:
        """How the queue is doing, of which the levels are known."""
        counters = self._drain.counters
        return QueueReport(
            waiting=stats.rows,
            oldest_ms=None if stats.oldest_ts is None else stats.oldest_ts / 1_000_000,
            sent=stats.acknowledged,
            set_aside=stats.set_aside,
            dropped=stats.dropped,
            failing=self._breaker.failures > 0,
            last_error=counters.last_error,
        )

    def _freeze(self, rows: Sequence[QueueRow]) -> Request:
        return self._encode([codec.decode(row.body) for row in rows], self.env)

    def _acknowledge(self, through: Position) -> None:
        self._world.post(Ack(self.queue, through.ts, through.seq))

    def _set_aside(self, row: QueueRow, reason: str) -> None:
        self._world.post(SetAsideRow(self.queue, row.ts, row.seq, reason))

    def _ts_of(self, row: QueueRow) -> int:
        return row.ts

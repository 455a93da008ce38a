"""Reading queues out of the data folder while the server writes to it.

Owns a read-only connection. Never writes, and holds a snapshot only while it reads. One invariant:
rows above the durable timestamp stay unseen, so nothing leaves that a power cut could still undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyconvex.storage import Position, QueueRow, QueueStats, Reader, database_path

#: Rows a statement: a row may be a megabyte, and a batch is bounded by bytes too.
ROWS_A_READ = 64


class DurableRows:
    """The queues of one data folder, as far as they are durable."""

    def __init__(self) -> None:
        #: Rows up to here may be read; only the server knows, and moves it.
        self.durable_ts = 0
        self._folder: str | None = None
        self._reader: Reader | None = None

    def open(self, folder: str) -> None:
        """Read this data folder from now on."""
        if folder == self._folder:
            return
        self.close()
        self._folder, self._reader = folder, Reader(database_path(Path(folder)))

    def close(self) -> None:
        """Let go of the data folder."""
        if self._reader is not None:
            self._reader.close()
        self._folder = self._reader = None

    def stats(self, queue: int) -> QueueStats:
        """A queue's level and counters."""
        assert self._reader is not None, "not opened"
        self._reader.begin()
        try:
            return self._reader.queue_stats(queue)
        finally:
            self._reader.end()

    def read(
        self, queue: int, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[QueueRow], bool]:
        """Rows after a position, about as many as asked for; True when there may be more."""
        assert self._reader is not None, "not opened"
        rows: list[QueueRow] = []
        size = 0
        self._reader.begin()
        try:
            while len(rows) < max_rows and size < max_bytes:
                limit = min(ROWS_A_READ, max_rows - len(rows))
                found = self._reader.queue_rows(queue, after, limit=limit, up_to_ts=self.durable_ts)
                rows += found
                size += sum(len(row.body) for row in found)
                if len(found) < limit:
                    return rows, False
                after = found[-1].position
        finally:
            self._reader.end()
        return rows, True

"""Reading the run log for one lane.

Owns asking the lane which entries it wants to send. Never writes: the server moves the cursor. One
invariant: the lane is asked once for each entry, in order, for as long as the process lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyconvex.delivery.lane import RunLogLane
from pyconvex.runlog.cursors import Cursors
from pyconvex.runlog.entries import unpack
from pyconvex.runlog.reader import RunLogReader
from pyconvex.storage import START, Position, QueueRow


class AdmittedEntries:
    """The entries that a lane admits, from its cursor on."""

    def __init__(self, folder: Path, lane: RunLogLane, key: str) -> None:
        cursor = Cursors(folder).get(key)
        #: Where the lane begins.
        self.cursor: Position = START if cursor is None else cursor.position
        self._lane = lane
        self._folder = folder
        self._reader = RunLogReader(folder, frozenset(lane.reads))
        #: The last row that was admitted, and the last that the lane was asked about.
        self._asked = (self.cursor, self.cursor)

    def read_kinds(self) -> None:
        """The lane reads other kinds now."""
        self._reader = RunLogReader(self._folder, frozenset(self._lane.reads))

    def read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[QueueRow], bool]:
        """Admitted rows after a position, about as many; True when there may be more."""
        begin = self._asked[1] if self._asked[0] == after else after
        more, admitted = True, list[QueueRow]()
        while more and not admitted:
            rows, more = self._reader.read(begin, max_rows, max_bytes)
            admitted = [row for row in rows if self._admits(row)]
            begin = rows[-1].position if rows else begin
        self._asked = (admitted[-1].position if admitted else after, begin)
        return admitted, more

    def _admits(self, row: QueueRow) -> bool:
        return self._lane.admit(unpack(row.body))

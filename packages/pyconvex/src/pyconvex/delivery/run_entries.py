"""Reading the run log for one lane.

Owns asking the lane which entries it wants to send. Never writes: the server moves the cursor. One
invariant: the lane is asked once for each entry, in order, for as long as the process lives.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyconvex.delivery.lane import RunLogLane
from pyconvex.runlog.entries import EntryRow
from pyconvex.runlog.reader import RunLogReader
from pyconvex.runlog.window import Window
from pyconvex.storage import Position


class AdmittedEntries:
    """The entries that a lane admits, from its cursor on."""

    def __init__(self, window: Window, lane: RunLogLane, cursor: Position) -> None:
        self._window = window
        self._lane = lane
        self._reader = RunLogReader(window, frozenset(lane.reads))
        #: The last row that was admitted, and the last that the lane was asked about.
        self._asked = (cursor, cursor)

    def read_kinds(self) -> None:
        """The lane reads other kinds now."""
        self._reader = RunLogReader(self._window, frozenset(self._lane.reads))

    def read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[EntryRow], bool]:
        """Admitted rows after a position, about as many; True when there may be more."""
        begin = self._asked[1] if self._asked[0] == after else after
        more, admitted = True, list[EntryRow]()
        while more and not admitted:
            rows, more = self._reader.read(begin, max_rows, max_bytes)
            admitted = [row for row in rows if self._lane.admit(row.entry)]
            begin = rows[-1].position if rows else begin
        self._asked = (admitted[-1].position if admitted else after, begin)
        return admitted, more

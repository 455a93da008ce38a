"""Reading a run log while another process writes it.

Owns finding entries after a position, across segments. Never writes. One invariant: rows come
in the order in which runs were appended, each once for a reader that goes on from the last; what a
crash tore and what was swept is passed over. Who else reads through the same window makes no
difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyconvex.runlog import segments
from pyconvex.runlog.entries import EntryRow
from pyconvex.runlog.window import Found, Window
from pyconvex.storage import START, Position


class RunLogReader:
    """Reads a run log's entries of some kinds, in order.

    Remembers how far it looked, so that records of other kinds are passed once.
    """

    def __init__(self, window: Window, kinds: frozenset[str]) -> None:
        self._window = window
        self._kinds = kinds
        #: A row's position, and how far the log was searched behind it in vain.
        self._searched: tuple[Position, Position] | None = None
        #: How the folder and the segment in `_searched` looked when the search had found all.
        self._exhausted: tuple[int, int] | None = None

    def read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[EntryRow], bool]:
        """Rows after a position, about as many as asked for; True when there may be more."""
        begin = after
        if self._searched is not None and self._searched[0] == after:
            begin = self._searched[1]
            if self._exhausted is not None and self._exhausted == self._looks(begin):
                return [], False
        looked = self._looks(begin)
        rows, at, more = self._search(begin, max_rows, max_bytes)
        last = rows[-1].position if rows else after
        self._searched = (last, max(at, last))
        # Looked at before the search: what is written during it makes a difference next time.
        self._exhausted = None if more or rows else looked
        return rows, more

    def _search(
        self, at: Position, rows_left: int, bytes_left: int
    ) -> tuple[list[EntryRow], Position, bool]:
        """Rows, the place before which all was searched, and whether it ended with enough rows."""
        rows: list[EntryRow] = []
        # Listed before they are read: all but the last are complete.
        for segment in segments_in(self._window.folder):
            if segment < at.ts:
                continue
            for found, seen in _records(self._window, segment, at):
                for row in found.entries.rows(self._kinds):
                    if seen and segments.place_of(row.position)[1] <= seen:
                        continue
                    if rows_left <= 0 or bytes_left <= 0:
                        return rows, at, True
                    rows.append(row)
                    rows_left -= 1
                    bytes_left -= row.size
                at = segments.position(segment, found.end)
            if segment > at.ts:
                at = segments.position(segment, 0)
        return rows, at, False

    def _looks(self, at: Position) -> tuple[int, int] | None:
        """Changes whenever there may be something new: a segment, or more of the one searched."""
        folder = self._window.folder
        try:
            changed = os.stat(folder).st_mtime_ns
            return changed, os.stat(folder / segments.file_name(at.ts)).st_size
        except OSError:
            return None


def count_entries(folder: Path, kinds: frozenset[str], after: Position, last_segment: int) -> int:
    """How many entries of these kinds there are after a position, up to the end of a segment."""
    window = Window(folder)
    return sum(
        found.entries.count(kinds, seen)
        for segment in segments_in(folder)
        if after.ts <= segment <= last_segment
        for found, seen in _records(window, segment, after)
    )


def _records(window: Window, segment: int, after: Position) -> Iterator[tuple[Found, int]]:
    """A segment's records from a place on, each with the number of the entry that is before it."""
    offset, seen = segments.place_of(after if after.ts == segment else START)
    while (found := window.record_at(segment, offset)) is not None:
        yield found, seen
        offset, seen = found.end, 0


def segments_in(folder: Path) -> list[int]:
    """The segments of a run log, oldest first; none for a folder that is not there yet."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(n for name in names if (n := segments.segment_of(name)) is not None)

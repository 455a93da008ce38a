"""Reading a run log while another process writes it.

Owns finding whole records after a position, across segments. Never writes. One invariant: rows come
in the order in which runs were appended, each once for a reader that goes on from the last; what a
crash tore and what was swept is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pyconvex.runlog import segments
from pyconvex.runlog.entries import rows_of
from pyconvex.runlog.record import decode_record
from pyconvex.storage import Position, QueueRow

#: Bytes of a file a read.
READ_BYTES = 256 * 1024


class RunLogReader:
    """Reads one run log's entries of some kinds, in order.

    Remembers how far it looked, so that records of other kinds are read once.
    """

    def __init__(
        self, folder: Path, kinds: frozenset[str], *, last_segment: int | None = None
    ) -> None:
        self._folder = folder
        self._last_segment = last_segment
        self._kinds = kinds
        #: A row's position, and how far the log was searched behind it in vain.
        self._searched: tuple[Position, Position] | None = None
        #: How the folder and the segment in `_searched` looked when the search had found all.
        self._exhausted: tuple[int, int] | None = None

    def read(
        self, after: Position, max_rows: int, max_bytes: int
    ) -> tuple[Sequence[QueueRow], bool]:
        """Rows after a position, about as many as asked for; True when there may be more."""
        begin = after
        if self._searched is not None and self._searched[0] == after:
            begin = self._searched[1]
            if self._exhausted is not None and self._exhausted == self._looks(begin):
                return [], False
        looked = self._looks(begin)
        search = _Search(self._kinds, begin, max_rows, max_bytes)
        more = search.through(self._folder, self._last_segment)
        last = search.rows[-1].position if search.rows else after
        self._searched = (last, max(search.at, last))
        # Looked at before the search: what is written during it makes a difference next time.
        self._exhausted = None if more or search.rows else looked
        return search.rows, more

    def _looks(self, at: Position) -> tuple[int, int] | None:
        """Changes whenever there may be something new: a segment, or more of the one searched."""
        try:
            folder = os.stat(self._folder).st_mtime_ns
            return folder, os.stat(self._folder / segments.file_name(at.ts)).st_size
        except OSError:
            return None


class _Search:
    def __init__(
        self, kinds: frozenset[str], begin: Position, max_rows: int, max_bytes: int
    ) -> None:
        self._kinds = kinds
        self._rows_left, self._bytes_left = max_rows, max_bytes
        #: Everything before was searched.
        self.at = begin
        self.rows: list[QueueRow] = []

    def through(self, folder: Path, last_segment: int | None) -> bool:
        """Search segment after segment; True when it ended because it has enough."""
        # Listed before they are read: all but the last are complete.
        for segment in segments_in(folder):
            if segment < self.at.ts:
                continue
            if last_segment is not None and segment > last_segment:
                break
            if segment > self.at.ts:
                self.at = segments.position(segment, 0)
            try:
                with open(folder / segments.file_name(segment), "rb") as file:
                    if file.read(len(segments.HEADER)) != segments.HEADER:
                        continue  # of another version, or not begun yet
                    if self._segment(file.fileno(), segment):
                        return True
            except FileNotFoundError:
                continue  # swept
        return False

    def _segment(self, fd: int, segment: int) -> bool:
        offset, _ = segments.place_of(self.at)
        size = READ_BYTES
        while data := os.pread(fd, size, offset):
            end = offset
            try:
                for found in segments.frames(data, offset):
                    if self._record(segment, found):
                        return True
                    end = found.end
                    self.at = segments.position(segment, end)
            except segments.DamagedError:
                return False  # of the last segment perhaps not all written yet
            if end > offset:
                offset, size = end, READ_BYTES
            elif len(data) < size:
                return False  # not whole: torn, or not all written yet
            else:
                size += segments.missing_bytes(data, 0)
        return False

    def _record(self, segment: int, found: segments.Framed) -> bool:
        offset, seen = segments.place_of(self.at)
        try:
            record = decode_record(found.body)
        except msgspec.MsgspecError:
            return False  # of a later format: nothing that this host could tell
        for number, body in rows_of(record, self._kinds, seen if offset == found.offset else 0):
            if self._rows_left <= 0 or self._bytes_left <= 0:
                return True
            place = segments.position(segment, found.offset, number)
            self.rows.append(QueueRow(place.ts, place.seq, body))
            self._rows_left -= 1
            self._bytes_left -= len(body)
        return False


def segments_in(folder: Path) -> list[int]:
    """The segments of a run log, oldest first; none for a folder that is not there yet."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(n for name in names if (n := segments.segment_of(name)) is not None)

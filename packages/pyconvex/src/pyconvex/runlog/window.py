"""Records of a run log that were read a moment ago, kept for the readers that come next.

Owns reading segment files piece by piece. Never writes, and never decides which entries anybody
wants. One invariant: what it gives of a place is what the file holds there, whoever read it first;
and it keeps a bounded number of bytes, however far its readers are apart.

The lanes of a process stand at about the same place nearly always. So each piece of the log is
read, checked and decoded by the first of them, and the others find it here.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import msgspec

from pyconvex.runlog import segments
from pyconvex.runlog.entries import Entries
from pyconvex.runlog.record import RunRecord, decode_record

#: Bytes of a file a read.
READ_BYTES = 128 * 1024
#: Bytes of records that are kept: what lanes are apart that wait for company, each since another
#: moment. As objects, with what streams make of them, they are twenty times as large.
KEPT_BYTES = 768 * 1024


class Found:
    """A whole record at its place."""

    def __init__(self, segment: int, frame: segments.Framed) -> None:
        self._segment = segment
        self._frame = frame
        #: Bytes of it, as it is in the file.
        self.size = len(frame.body)
        #: Where the next record begins.
        self.end = frame.end

    @cached_property
    def entries(self) -> Entries:
        """Its entries, decoded when somebody first looks."""
        try:
            record = decode_record(self._frame.body)
        except msgspec.MsgspecError:
            record = _NOTHING
        return Entries(record, segments.position(self._segment, self._frame.offset))


class Window:
    """What was read of one run log lately; the readers of a process share one."""

    def __init__(self, folder: Path, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.folder = folder
        self._max_bytes = kept_bytes
        #: By segment and offset, the oldest first.
        self._kept: dict[tuple[int, int], Found] = {}
        #: Of all that is kept: over the bound only for a record, or a read, that is larger itself.
        self.kept_bytes = 0

    def record_at(self, segment: int, offset: int) -> Found | None:
        """The record that begins there; None where there is none that is whole and sound."""
        return self._kept.get((segment, offset)) or self._read(segment, offset)

    def _read(self, segment: int, offset: int) -> Found | None:
        try:
            with open(self.folder / segments.file_name(segment), "rb", buffering=0) as file:
                if file.read(len(segments.HEADER)) != segments.HEADER:
                    return None  # of another version, or not begun yet
                frames = _whole_frames(file.fileno(), offset)
        except FileNotFoundError:
            return None  # swept
        found = [Found(segment, frame) for frame in frames]
        self._make_room(sum(each.size for each in found))
        for frame, each in zip(frames, found, strict=True):
            if self._kept.setdefault((segment, frame.offset), each) is each:
                self.kept_bytes += each.size
        return self._kept[segment, offset] if found else None

    def _make_room(self, size: int) -> None:
        while self._kept and self.kept_bytes + size > self._max_bytes:
            self.kept_bytes -= self._kept.pop(next(iter(self._kept))).size


def _whole_frames(fd: int, offset: int) -> list[segments.Framed]:
    """The frames that follow each other from an offset on, as many as one read finds, or one that
    is larger; what follows them may be torn, or not all written yet.
    """
    size = READ_BYTES
    while data := os.pread(fd, size, offset):
        frames = list(segments.frames(data, offset))
        missing = segments.missing_bytes(data)
        if frames or len(data) < size or not missing:
            return frames
        size += missing
    return []


#: For a record of a later format, of which this host could tell nothing.
_NOTHING = RunRecord(
    ts_ms=0, began_ms=0, request_id="", execution_id="", kind="", path="", going_on=True
)

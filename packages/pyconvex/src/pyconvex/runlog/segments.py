"""The form of a run log on disk: segment files of framed records.

Owns names, header and frames. Never opens a file. One invariant: a position once given names the
same record for ever, because a segment's number is never used twice and frames are only appended.

A frame is its body's length and checksum, four bytes each, then the body. A file that ends inside a
frame is torn: what comes before is whole, and nothing is appended to it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from pyconvex.storage import Position

#: First bytes of each file; the last one is the format's version.
HEADER = b"PYXRUNS\x01"
FRAME_HEADER_BYTES = 8
#: No record is larger: 256 lines of 32 KiB, 4 MiB of items, an error, and room.
MAX_BODY_BYTES = 32 * 1024 * 1024
#: A position counts the entries of a record in its lowest bits.
_ENTRY_BITS = 16
MAX_ENTRIES = (1 << _ENTRY_BITS) - 1
_SUFFIX = ".runs"


class Framed(NamedTuple):
    """One whole frame found in a file."""

    offset: int
    end: int
    body: bytes


def file_name(segment: int) -> str:
    """A segment's file name; names sort as numbers do.

    >>> file_name(7), segment_of(file_name(7)), segment_of("cursors.json")
    ('00000000000000000007.runs', 7, None)
    """
    return f"{segment:020d}{_SUFFIX}"


def segment_of(name: str) -> int | None:
    """The number of the segment with this file name; None for other files."""
    number = name.removesuffix(_SUFFIX)
    return int(number) if number != name and number.isdecimal() else None


def frame(body: bytes) -> bytes:
    """The frame around a record's bytes."""
    return len(body).to_bytes(4, "little") + crc32(body).to_bytes(4, "little") + body


def frames(data: bytes, offset: int) -> Iterator[Framed]:
    """The whole frames of a file's piece that begins at `offset` of the file.

    Ends where the next one is not whole yet, or is none at all.

    >>> [f.body for f in frames(frame(b"one") + frame(b"two") + b"torn", 8)]
    [b'one', b'two']
    """
    at = 0
    while at + FRAME_HEADER_BYTES <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        start, end = at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + size
        if size > MAX_BODY_BYTES or end > len(data):
            return
        body = data[start:end]
        if crc32(body) != int.from_bytes(data[at + 4 : start], "little"):
            return
        yield Framed(offset + at, offset + end, body)
        at = end


def missing_bytes(data: bytes) -> int:
    r"""How many bytes the first frame has beyond the end of `data`; none when it is no frame.

    >>> missing_bytes(frame(b"one")[:-2]), missing_bytes(b"\xff" * 9)
    (2, 0)
    """
    if len(data) < FRAME_HEADER_BYTES:
        return FRAME_HEADER_BYTES - len(data)
    size = int.from_bytes(data[:4], "little")
    return max(FRAME_HEADER_BYTES + size - len(data), 0) if size <= MAX_BODY_BYTES else 0


def position(segment: int, offset: int, entry: int = 0) -> Position:
    """The place of a record's entry, counted from 1; 0 is the place before the record.

    >>> place = position(3, 8, 2)
    >>> place_of(place) == (8, 2), position(3, 8) < place < position(3, 500) < position(4, 8)
    (True, True)
    """
    return Position(segment, offset << _ENTRY_BITS | entry)


def place_of(position: Position) -> tuple[int, int]:
    """Offset and entry of a position; before everything, the end of the header."""
    return max(position.seq >> _ENTRY_BITS, len(HEADER)), max(position.seq, 0) & MAX_ENTRIES

"""What a transaction read: merged half-open intervals of encoded keys, an index at a time.

Owns the read set, its packed form and the question "does this key lie in it?". Never knows what a
key means. One invariant: the ranges of an index are sorted, disjoint and not adjacent. A point
stands for `[key, key + 00)`; points are kept apart, because most reads are points.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec

#: Sorts after every key: encoded values begin below 0x20, document ids have 16 bytes.
TOP = b"\xff" * 17


class Stretch(msgspec.Struct, frozen=True):
    """A part of an index that a function reads again and again: a key, or what the ends of a range
    begin with.

    Which document stands first in a range, and so where the range ends, differs from run to run;
    its prefix doesn't.
    """

    index_id: int
    prefix: bytes


class IndexReads:
    """The part of a read set that lies in one index."""

    __slots__ = ("ends", "points", "starts")

    def __init__(self) -> None:
        self.points: set[bytes] = set()
        self.starts: list[bytes] = []
        self.ends: list[bytes] = []

    def add_range(self, start: bytes, end: bytes) -> None:
        first = bisect_left(self.ends, start)
        last = bisect_right(self.starts, end)
        if first < last:
            start = min(start, self.starts[first])
            end = max(end, self.ends[last - 1])
        self.starts[first:last] = [start]
        self.ends[first:last] = [end]

    def in_range(self, key: bytes) -> bool:
        place = bisect_right(self.starts, key) - 1
        return place >= 0 and key < self.ends[place]

    def __contains__(self, key: bytes) -> bool:
        return key in self.points or self.in_range(key)

    def prefix(self, key: bytes) -> bytes:
        """The prefix of the stretch in which a key lies that was read."""
        if not self.in_range(key):
            return key
        place = bisect_right(self.starts, key) - 1
        start, end = self.starts[place], self.ends[place]
        same = 0
        while same < len(start) and start[same] == end[same]:
            same += 1
        return start[:same]

    def ranges(self) -> Iterator[tuple[bytes, bytes]]:
        return zip(self.starts, self.ends, strict=True)


class ReadSet:
    """Intervals per index id. Equal read sets encode to equal bytes.

    >>> reads = ReadSet()
    >>> reads.add_range(7, b"a", b"c")
    >>> reads.overlaps(7, b"b"), reads.overlaps(7, b"c"), reads.overlaps(8, b"b")
    (True, False, False)
    """

    __slots__ = ("indexes",)

    def __init__(self) -> None:
        self.indexes: dict[int, IndexReads] = {}

    def add_point(self, index_id: int, key: bytes) -> None:
        """Add the one key, whether or not something stands there."""
        self._index(index_id).points.add(key)

    def add_range(self, index_id: int, start: bytes, end: bytes | None) -> None:
        """Add [start, end); None as end means everything from start on."""
        end = TOP if end is None else end
        if start < end:
            self._index(index_id).add_range(start, end)

    def update(self, other: ReadSet) -> None:
        """Add all that another read set has."""
        for index_id, reads in other.indexes.items():
            mine = self._index(index_id)
            mine.points |= reads.points
            for start, end in reads.ranges():
                mine.add_range(start, end)

    def overlaps(self, index_id: int, key: bytes) -> bool:
        """True when a change at `key` is a change of what was read."""
        reads = self.indexes.get(index_id)
        return reads is not None and key in reads

    def stretch(self, index_id: int, key: bytes) -> Stretch:
        """The stretch in which a key lies that was read."""
        return Stretch(index_id, self.indexes[index_id].prefix(key))

    def reaches(self, stretch: Stretch) -> bool:
        """Whether anything was read there."""
        reads = self.indexes.get(stretch.index_id)
        if reads is None:
            return False
        prefix = stretch.prefix
        return prefix in reads or any(start.startswith(prefix) for start in reads.starts)

    def interval_count(self, from_index_id: int = 0) -> int:
        """Disjoint intervals in the indexes from the given one on."""
        count = 0
        for index_id, reads in self.indexes.items():  # no generator: it is asked at each read
            if index_id >= from_index_id:
                count += len(reads.starts) + len(reads.points)
        return count

    def encode(self) -> bytes:
        return _ENCODER.encode([_pack(*item) for item in sorted(self.indexes.items())])

    @staticmethod
    def decode(packed: bytes) -> ReadSet:
        reads = ReadSet()
        for index_id, points, starts, ends in _DECODER.decode(packed) if packed else ():
            index = reads._index(index_id)
            index.points = set(points)
            index.starts = starts
            index.ends = [TOP if end is None else end for end in ends]
        return reads

    def _index(self, index_id: int) -> IndexReads:
        index = self.indexes.get(index_id)
        if index is None:
            index = self.indexes[index_id] = IndexReads()
        return index


_PackedIndex = tuple[int, list[bytes], list[bytes], list[bytes | None]]


def _pack(index_id: int, reads: IndexReads) -> _PackedIndex:
    if not reads.starts:
        return index_id, sorted(reads.points), [], []
    points = sorted(key for key in reads.points if not reads.in_range(key))
    return index_id, points, reads.starts, [None if end == TOP else end for end in reads.ends]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_PackedIndex])

"""The writes of a transaction before they are proposed.

Owns the newest own version of each written document, their places in every index, and undoing
back to a mark. Never reads the store. One invariant: an index's list of own places holds exactly
the keys of the own versions that exist.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from pyconvex.storage import DocumentWrite, IndexEntry, IndexKey, QueueAppend


class Stored(NamedTuple):
    """The version that the snapshot has."""

    ts: int
    doc: bytes
    keys: tuple[IndexKey, ...]


class Pending(NamedTuple):
    """A document as this transaction leaves it; `doc` None when it is deleted."""

    tablet: int
    id: bytes
    stored: Stored | None
    doc: bytes | None
    keys: tuple[IndexKey, ...]
    #: As in `DocumentWrite`.
    pending: tuple[tuple[int, int], ...] | None = None

    def places(self) -> tuple[IndexKey, ...]:
        return () if self.doc is None else ((self.tablet, self.id), *self.keys)

    def write(self) -> DocumentWrite | None:
        """The change to propose; None when the snapshot's version is what is left."""
        stored = self.stored
        if stored is None:
            if self.doc is None:
                return None
            return DocumentWrite(self.tablet, self.id, self.doc, None, (), self.keys, self.pending)
        if self.doc == stored.doc:
            return None
        return DocumentWrite(
            self.tablet, self.id, self.doc, stored.ts, stored.keys, self.keys, self.pending
        )


class Mark(NamedTuple):
    """A point in the history of a buffer that it can go back to."""

    writes: int
    appends: int
    backfill: int
    dropped: int


class WriteBuffer:
    """Own writes, ordered per index; `mark` and `undo` nest like calls."""

    def __init__(self) -> None:
        self.appends: list[QueueAppend] = []
        self.backfill: list[IndexEntry] = []
        self.dropped_indexes: list[int] = []
        self._pending: dict[tuple[int, bytes], Pending] = {}
        self._ordered: dict[int, list[tuple[bytes, bytes]]] = {}
        self._history: list[tuple[tuple[int, bytes], Pending | None]] = []
        self._tablets: dict[int, int] = {}

    def get(self, tablet: int, id: bytes) -> Pending | None:
        return self._pending.get((tablet, id))

    def put(self, pending: Pending) -> None:
        place = (pending.tablet, pending.id)
        before = self._pending.get(place)
        self._history.append((place, before))
        self._replace(place, before, pending)

    def touches(self, tablet: int) -> bool:
        """True when some document of the tablet was written, even if it ended up the same."""
        return self._tablets.get(tablet, 0) > 0

    def next_place(
        self, index_id: int, start: bytes, end: bytes, *, descending: bool
    ) -> tuple[bytes, bytes] | None:
        """The first own (key, id) with its key in [start, end), in the asked direction."""
        places = self._ordered.get(index_id)
        if not places:
            return None
        if descending:
            at = bisect_left(places, (end, b"")) - 1
            return places[at] if at >= 0 and places[at][0] >= start else None
        at = bisect_left(places, (start, b""))
        return places[at] if at < len(places) and places[at][0] < end else None

    def writes(self) -> Iterator[DocumentWrite]:
        """The changes to propose, in the order of first writing."""
        changes = (pending.write() for pending in self._pending.values())
        return (write for write in changes if write is not None)

    def mark(self) -> Mark:
        return Mark(
            len(self._history), len(self.appends), len(self.backfill), len(self.dropped_indexes)
        )

    def undo(self, mark: Mark) -> None:
        """Forget everything written since the mark."""
        while len(self._history) > mark.writes:
            place, before = self._history.pop()
            self._replace(place, self._pending.get(place), before)
        del self.appends[mark.appends :]
        del self.backfill[mark.backfill :]
        del self.dropped_indexes[mark.dropped :]

    def _replace(
        self, place: tuple[int, bytes], before: Pending | None, after: Pending | None
    ) -> None:
        if before is not None:
            for index_id, key in before.places():
                ordered = self._ordered[index_id]
                del ordered[bisect_left(ordered, (key, before.id))]
        if after is None:
            self._pending.pop(place, None)
        else:
            self._pending[place] = after
            for index_id, key in after.places():
                insort(self._ordered.setdefault(index_id, []), (key, after.id))
        self._tablets[place[0]] = (
            self._tablets.get(place[0], 0) + (after is not None) - (before is not None)
        )

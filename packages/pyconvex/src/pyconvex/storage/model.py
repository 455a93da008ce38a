"""What storage takes and gives: frozen records of bytes and integers.

Owns the shapes that travel between isolates, server and disk. Never looks inside a document, a
key or a queue row. One invariant: an index id is its table's tablet number plus a serial below
`INDEXES_PER_TABLET`, and serial 0 is the index of document ids, so `tablet_of` needs no lookup.
A tablet is one life of one table in one component; its number is never used again.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

#: Index numbers that one tablet may use in its whole life, dropped indexes included.
INDEXES_PER_TABLET = 1 << 16

#: Tablets below this number are registries that every process caches; a write to one moves
#: `Head.catalog_ts`.
FIRST_DATA_TABLET = 16 * INDEXES_PER_TABLET

IndexKey: TypeAlias = tuple[int, bytes]
"""Index id and encoded key. `(tablet, id)` is a document's place in its table's index of ids."""


def tablet_of(index_id: int) -> int:
    """The tablet whose rows an index orders."""
    return index_id & -INDEXES_PER_TABLET


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The newest commit that a snapshot shows, and the newest one that changed a registry."""

    ts: int
    catalog_ts: int


class DocumentWrite(msgspec.Struct, frozen=True, array_like=True):
    """One document's change: `doc` is its new bytes or None when deleted.

    `prev_ts` is the timestamp of the version that it replaces, None for an insert. Keys are those
    in the table's own indexes, without the index of ids. `pending` is None unless the document
    holds the timestamp of its commit; then it says where in the new keys that goes: which key, and
    at which byte.
    """

    tablet: int
    id: bytes
    doc: bytes | None
    prev_ts: int | None
    old_keys: tuple[IndexKey, ...] = ()
    new_keys: tuple[IndexKey, ...] = ()
    pending: tuple[tuple[int, int], ...] | None = None

    def touched(self) -> tuple[IndexKey, ...]:
        """Every index position that this change makes differ, before or after."""
        return ((self.tablet, self.id), *self.old_keys, *self.new_keys)


class QueueAppend(msgspec.Struct, frozen=True, array_like=True):
    """One row for the end of a queue."""

    queue: int
    body: bytes


class IndexEntry(msgspec.Struct, frozen=True, array_like=True):
    """A position of an existing, unchanged document in a newly declared index."""

    index_id: int
    key: bytes
    id: bytes


class Replay(msgspec.Struct, frozen=True, array_like=True):
    """What a client's numbered mutation answered, kept so that a resend gets the same answer."""

    session_id: str
    request_id: int
    result: bytes


class StoredReplay(msgspec.Struct, frozen=True, array_like=True):
    """A kept answer and the timestamp of its commit."""

    ts: int
    result: bytes


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """All that a transaction wants to happen, and what it read to decide so.

    `reads` is an encoded `ReadSet`; storage carries it and never opens it. `backfill` adds
    positions in new indexes before `writes` are applied, those that are missing; `dropped_indexes`
    are emptied in the background. In `unfinished` indexes old keys may not stand yet.
    """

    snapshot_ts: int
    reads: bytes
    writes: tuple[DocumentWrite, ...] = ()
    appends: tuple[QueueAppend, ...] = ()
    replay: Replay | None = None
    backfill: tuple[IndexEntry, ...] = ()
    dropped_indexes: tuple[int, ...] = ()
    unfinished: tuple[int, ...] = ()
    #: The function that proposes it; "" for the host itself. Told to who conflicts with it.
    source: str = ""

    def changes_nothing(self) -> bool:
        """True for a transaction that only read."""
        return not (self.writes or self.appends or self.backfill or self.dropped_indexes)

    def encode(self) -> bytes:
        return _ENCODER.encode(self)

    @staticmethod
    def decode(packed: bytes) -> Proposal:
        return _DECODER.decode(packed)


class Appended(msgspec.Struct, frozen=True):
    """Applied at `ts`; so many of its queue rows found their queue full."""

    ts: int
    dropped_rows: int = 0


class Rejected(msgspec.Struct, frozen=True):
    """Not applied: it contradicts what is stored. Its neighbours are untouched."""

    reason: str


class Replayed(msgspec.Struct, frozen=True):
    """Not applied: this request was answered before, with this result."""

    ts: int
    result: bytes


AppendOutcome: TypeAlias = Appended | Rejected | Replayed


class Position(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A place in commit order: a commit's timestamp, then a number within the commit."""

    ts: int
    seq: int


START = Position(0, -1)
END = Position((1 << 63) - 1, 0)


class QueueRow(msgspec.Struct, frozen=True, array_like=True):
    """A queued row, as it was appended."""

    ts: int
    seq: int
    body: bytes

    @property
    def position(self) -> Position:
        return Position(self.ts, self.seq)

    @property
    def size(self) -> int:
        return len(self.body)


class SetAsideRow(msgspec.Struct, frozen=True, array_like=True):
    """A row that nobody would take, and why."""

    ts: int
    seq: int
    body: bytes
    reason: str


class QueueStats(msgspec.Struct, frozen=True):
    """A queue's level and its counters since the data folder was made."""

    rows: int = 0
    bytes: int = 0
    oldest_ts: int | None = None
    appended: int = 0
    dropped: int = 0
    acknowledged: int = 0
    set_aside: int = 0


class Revision(msgspec.Struct, frozen=True, array_like=True):
    """One version of one document in commit order; `doc` is None for a deletion."""

    ts: int
    seq: int
    tablet: int
    id: bytes
    doc: bytes | None
    prev_ts: int | None

    @property
    def position(self) -> Position:
        return Position(self.ts, self.seq)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Proposal)

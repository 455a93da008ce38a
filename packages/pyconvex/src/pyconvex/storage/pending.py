"""Documents that wait for the timestamp of their commit.

Owns putting it into a write's document and index keys. Never looks inside a document otherwise: the
writer says where in its keys the timestamp goes. One invariant: a settled write holds no mark any
more, and settling one that waits for nothing gives it back as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pyconvex.storage.model import DocumentWrite, IndexKey
from pyconvex.values import codec, order


def waits(writes: Sequence[DocumentWrite]) -> bool:
    """Whether any of these writes holds the timestamp of a commit that is yet to come."""
    return any(write.pending is not None for write in writes)


def settled(writes: Sequence[DocumentWrite], ts: int) -> tuple[DocumentWrite, ...]:
    """The writes as they are in the commit at `ts`."""
    return tuple(
        write if write.pending is None else _settled(write, write.pending, ts) for write in writes
    )


def _settled(write: DocumentWrite, pending: tuple[tuple[int, int], ...], ts: int) -> DocumentWrite:
    places: dict[int, list[int]] = {}
    for number, offset in pending:
        places.setdefault(number, []).append(offset)
    keys: tuple[IndexKey, ...] = tuple(
        (index_id, order.settle_key(key, places[number], ts) if number in places else key)
        for number, (index_id, key) in enumerate(write.new_keys)
    )
    doc = None if write.doc is None else codec.settle(write.doc, ts)
    return msgspec.structs.replace(write, doc=doc, new_keys=keys, pending=None)

"""How much a database's documents and indexes take.

Owns adding up sizes. Never holds a snapshot for long: it reads a piece at a time, so the figures of
a busy database are of no single moment. One invariant: what is added up is what was written, before
the engine's own overhead.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from pyconvex.storage.layout import open_reader
from pyconvex.storage.model import tablet_of

#: Rows a statement: some milliseconds.
PIECE_ROWS = 20_000

_DOCUMENTS = (
    "SELECT tablet, max(id), sum(length(doc)) FROM (SELECT tablet, id, doc FROM documents"
    " WHERE (tablet, id) > (?1, ?2) ORDER BY tablet, id LIMIT ?3) GROUP BY tablet ORDER BY tablet"
)
_ENTRIES = (
    "SELECT index_id, max(key), sum(length(key) + length(id)) FROM (SELECT index_id, key, id"
    " FROM entries WHERE (index_id, key) > (?1, ?2) ORDER BY index_id, key LIMIT ?3)"
    " GROUP BY index_id ORDER BY index_id"
)


class Sizes(NamedTuple):
    """Bytes by tablet."""

    documents: dict[int, int]
    indexes: dict[int, int]


def measure(database: Path) -> Sizes:
    """What all tablets take; in a thread, it may take seconds."""
    db = open_reader(database)
    try:
        documents: dict[int, int] = defaultdict(int)
        indexes: dict[int, int] = defaultdict(int)
        for statement, sums in ((_DOCUMENTS, documents), (_ENTRIES, indexes)):
            at: tuple[int, bytes] = (-1, b"")
            while rows := list(db.execute(statement, (*at, PIECE_ROWS))):
                for number, _, size in rows:
                    sums[tablet_of(number)] += size
                at = (rows[-1][0], rows[-1][1])
        return Sizes(dict(documents), dict(indexes))
    finally:
        db.close()

"""What documents were before each change of a page, for as long as the revision log tells.

Owns finding the version before a change. Never holds a document. One invariant: what is told of a
change is the very version that it replaced, however often the document was changed since, on the
same page too.

The log names only the timestamp of that version, so the commits that wrote them are looked through
once a page, without their documents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from pyconvex.export.wire_text import Rewrite
from pyconvex.storage import Reader

#: What is told where there was no document before.
NONE = b"null"
#: What is told where the version before is forgotten: nothing.
FORGOTTEN = b""

_Key = tuple[int, int, bytes]
"""Timestamp, tablet, id."""


class OldDocuments:
    """The versions that the changes behind `after_ts` replaced, in the snapshot that is open.

    It knows as many changes as a page with these limits can hold, of documents that `captures`.
    """

    def __init__(
        self,
        reader: Reader,
        after_ts: int,
        captures: Callable[[int, bytes], bool],
        *,
        entries: int,
        rows_read: int,
    ) -> None:
        self._reader = reader
        #: By change, the timestamp of the version before; None for none.
        self._before: dict[_Key, int | None] = {}
        #: By version, where the log has it.
        self._places: dict[_Key, int] = {}
        self._note(after_ts, captures, entries, rows_read)
        self._find()

    def text(self, ts: int, tablet: int, id: bytes, rewrite: Rewrite) -> bytes:
        """The version before a change as JSON text, `NONE` or `FORGOTTEN`."""
        prev_ts = self._before[ts, tablet, id]
        if prev_ts is None:
            return NONE
        place = self._places.get((prev_ts, tablet, id))
        if place is None:
            return FORGOTTEN
        doc = self._reader.version_at(place)
        return NONE if doc is None else rewrite(doc)

    def _note(
        self, after_ts: int, captures: Callable[[int, bytes], bool], entries: int, rows_read: int
    ) -> None:
        complete = after_ts
        for seen, change in enumerate(self._reader.walk_changes(after_ts)):
            ts, tablet, id, prev_ts = change
            if ts != complete:  # pages end between transactions
                if seen >= rows_read or len(self._before) >= entries:
                    return
                complete = ts
            if captures(tablet, id):
                self._before[ts, tablet, id] = prev_ts

    def _find(self) -> None:
        wanted: dict[int, set[tuple[int, bytes]]] = defaultdict(set)
        for (_, tablet, id), prev_ts in self._before.items():
            if prev_ts is not None:
                wanted[prev_ts].add((tablet, id))
        for commit_ts, documents in wanted.items():
            for ts, tablet, id, place in self._reader.walk_places(commit_ts):
                if ts != commit_ts or not documents:
                    break
                if (tablet, id) in documents:
                    documents.discard((tablet, id))
                    self._places[ts, tablet, id] = place

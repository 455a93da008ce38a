"""How far each lane has come in the run log.

Owns the cursors and the file that keeps them, beside the segments that they speak of. Never reads a
segment. One invariant: a cursor never goes back while the server runs; one that a crash took back
means that some entries are delivered again, with the ids that they had.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from pyconvex.storage import Position

FILE = "cursors.json"


class Cursor(msgspec.Struct):
    """One lane's place, and what it never got to see."""

    position: Position
    #: Entries that were swept before the lane had read them, records that were never written, and
    #: entries that the receiver dropped.
    dropped: int = 0


def cursor_key(component: str, lane: str) -> str:
    """What a lane's cursor is filed under; `lane` is its import path.

    >>> cursor_key("shop", "shop_mail.lanes:MailLane")
    'shop|shop_mail.lanes:MailLane'
    """
    return f"{component}|{lane}"


class Cursors:
    """The cursors of one run log, by lane.

    What lanes acknowledge comes often, and is in the file from the next `save` on; all else at
    once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cursors = _read(folder / FILE)
        #: Whether the file is as the cursors are.
        self._saved = True

    def get(self, lane: str) -> Cursor | None:
        """A lane's cursor; None for one that is new here."""
        return self._cursors.get(lane)

    def begin(self, lane: str, position: Position) -> Cursor:
        """A lane's cursor; a new lane's is `position`."""
        if lane not in self._cursors:
            self._cursors[lane] = Cursor(position)
            self._changed()
        return self._cursors[lane]

    def advance(self, lane: str, position: Position) -> None:
        """A lane has delivered everything up to and including this position."""
        cursor = self._cursors.setdefault(lane, Cursor(position))
        cursor.position = max(cursor.position, position)
        self._saved = False

    def lose(self, lane: str, position: Position, entries: int) -> None:
        """A lane won't see so many entries, or nobody took them: they were swept before this
        position, not kept, or dropped by the receiver.
        """
        cursor = self._cursors[lane]
        cursor.position = max(cursor.position, position)
        cursor.dropped += entries
        self._changed()

    def forget(self, lane: str) -> None:
        """A lane is gone for good."""
        if self._cursors.pop(lane, None) is not None:
            self._changed()

    def _changed(self) -> None:
        self._saved = False
        self.save()

    def save(self) -> None:
        """Have the file say where the lanes are; what can't be written is tried the next time."""
        if self._saved:
            return
        # Not synced: a cursor that is lost is an old one, and ids are the same.
        path = self._folder / FILE
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(self._cursors))
            os.replace(new, path)
            self._saved = True


def _read(path: Path) -> dict[str, Cursor]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Cursor])
    except (OSError, msgspec.MsgspecError):
        return {}

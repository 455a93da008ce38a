"""Where a data sync stands, as opaque text.

Owns the cursor's contents and their sealing. Never reads documents. One invariant: a cursor opens
only where it was sealed; what it says is then believed.
"""

from __future__ import annotations

import msgspec

from pyconvex.export.refusal import ExportRefused
from pyconvex.export.tables import ExportTable
from pyconvex.functions import cursors
from pyconvex.storage import Reader

#: What binds a sealed text to this use, so that no other kind of cursor opens here.
_PURPOSE = b"data sync 1"


class InProgress(msgspec.Struct, frozen=True, array_like=True):
    """The table whose documents are being read, up to and including `last_id`; then by changes."""

    table: ExportTable
    last_id: bytes = b""
    documents: int = 0


class SyncCursor(msgspec.Struct, frozen=True, array_like=True):
    """All that was emitted is as of `ts`: the tables that are done, and a part of one more."""

    sync_id: str
    ts: int
    done: tuple[ExportTable, ...] = ()
    current: InProgress | None = None
    #: Documents of tables that are done; for progress alone.
    documents: int = 0
    #: Of these, documents were emitted, and others with their names have not begun yet.
    replaced: tuple[ExportTable, ...] = ()

    @property
    def tracked(self) -> dict[int, ExportTable]:
        """Every table of which something was emitted, by tablet."""
        tables = {table.tablet: table for table in self.done}
        if self.current is not None:
            tables[self.current.table.tablet] = self.current.table
        return tables


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SyncCursor).decode


def seal(secret: bytes, cursor: SyncCursor) -> str:
    """The cursor's text."""
    return cursors.seal(secret, _PURPOSE, cursors.Position(_encode(cursor)))


def unseal(secret: bytes, text: str) -> SyncCursor:
    """What a text says that `seal` made. Raises `ExportRefused` for every other."""
    try:
        packed = cursors.unseal(secret, _PURPOSE, text).key
    except (cursors.InvalidCursor, ValueError):
        raise invalid() from None
    assert packed is not None
    return _decode(packed)


def check_known(reader: Reader, ts: int) -> None:
    """Raise `ExportRefused` unless all that happened after this timestamp is known."""
    assert reader.head is not None
    if ts < 0:
        raise invalid("it is no timestamp")
    if ts > reader.head.ts:
        raise invalid("it is ahead of this deployment")
    if not reader.knows_since(ts):
        raise ExportRefused(
            "DataSyncCursorExpired",
            "The cursor is older than the changes that this deployment still knows. Start "
            "again without a cursor.",
        )


def invalid(why: str = "it was not given by this deployment") -> ExportRefused:
    """The error for a cursor that can't be used here."""
    return ExportRefused(
        "InvalidDataSyncCursor", f"The cursor is not valid: {why}. Start again without a cursor."
    )

"""How far a sync has come: what it keeps beside the rows, in the same transaction.

Owns the record and its text form. Never holds a key. Invariant: rows and progress are saved
together or not at all, so a position never stands for rows that are not there.
"""

from __future__ import annotations

import enum

import msgspec

from posthog_convex.warehouse.documents.columns import Schema
from posthog_convex.warehouse.refusal import SyncRefused, newer
from posthog_convex.warehouse.source.steps import Position
from posthog_convex.warehouse.tables.ref import TableRef
from posthog_convex.warehouse.tables.selection import Selection

#: The form of the record. A change that older versions would misread makes it one more.
LAYOUT = 1


class Mode(enum.Enum):
    """What becomes of a document that is deleted or changed."""

    HARD = "hard"  #: a table holds the documents that are
    SOFT = "soft"  #: and, marked `_deleted`, those that were
    HISTORY = "history"  #: and every revision that was seen, valid from `_ts` to `_valid_to`


class OnDrop(enum.Enum):
    """What becomes of a table that the deployment has no more."""

    ARCHIVE = "archive"  #: it gets another name, with the time in it
    DROP = "drop"
    KEEP = "keep"  #: it stays as it was


class Generation(msgspec.Struct, frozen=True):
    """One filling of a table from its beginning. A table that is replaced gets another."""

    number: int
    schema: Schema = Schema()


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the deployment, and where its rows are in the destination."""

    ref: TableRef
    name: str
    #: What readers see. None until a snapshot with it is published; a later one replaces it.
    live: Generation | None = None
    #: What is being filled beside it. None -> set by a truncate -> published as `live`.
    next: Generation | None = None
    #: The columns of changes that wait to be published into `live`. None when none wait.
    changes: Schema | None = None
    #: The snapshot that changed `live` last.
    changed_ts: int | None = None
    #: The deployment said that it dropped this table; the next publication acts on it.
    leaving: bool = False
    #: The deployment has this table no more, and it was kept.
    gone: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a sync knows between two pages."""

    layout: int = LAYOUT
    deployment: str
    mode: Mode = Mode.HARD
    selection: Selection = Selection()
    #: None before the first answer.
    position: Position | None = None
    tables: tuple[Table, ...] = ()
    #: Tables that are gone and stay under another name.
    archived: tuple[Table, ...] = ()
    #: Numbers of generations are never used twice, so a crashed one is never mistaken for another.
    next_generation: int = 1
    #: Everything is being read again beside the published tables: the cursor had expired.
    shadow: bool = False
    snapshot_ts: int | None = None
    idle: bool = False
    pages: int = 0
    rows: int = 0
    restarts: int = 0
    #: When the last page came, in milliseconds: from then on the cursor grows old.
    page_at_ms: int = 0
    #: How long the cursor is good for, as the deployment said. None: it did not.
    retention_s: int | None = None

    def table(self, ref: TableRef) -> Table | None:
        return next((table for table in self.tables if table.ref == ref), None)

    def published(self) -> tuple[Table, ...]:
        """The tables that readers see."""
        return tuple(t for t in (*self.tables, *self.archived) if t.live is not None)

    def check(self) -> None:
        """Raise AssertionError if this cannot be."""
        names = [table.name.lower() for table in (*self.tables, *self.archived)]
        assert len(names) == len(set(names)), "two tables have one name"
        numbers = [g.number for t in self.tables for g in (t.live, t.next) if g is not None]
        assert len(numbers) == len(set(numbers)), "two generations have one number"
        assert all(number < self.next_generation for number in numbers)
        for table in self.tables:
            assert table.changes is None or table.live is not None, "changes to nothing"


def restarted(progress: Progress, position: Position) -> Progress:
    """Reads everything again from `position`, beside what is published.

    What was half read is forgotten; readers keep the last snapshot until a whole one is there.
    """
    tables = tuple(
        msgspec.structs.replace(table, next=None, changes=None)
        for table in progress.tables
        if table.live is not None
    )
    return msgspec.structs.replace(
        progress,
        position=position,
        tables=tables,
        shadow=any(not table.gone for table in tables),
        idle=False,
        restarts=progress.restarts + 1,
    )


class _Layout(msgspec.Struct, frozen=True):
    layout: int = LAYOUT


_DECODER = msgspec.json.Decoder(Progress)


def write(progress: Progress) -> str:
    return msgspec.json.encode(progress).decode()


def load(text: str) -> Progress:
    """What `write` wrote. Raises SyncRefused for what only a newer version can read."""
    try:
        if msgspec.json.decode(text, type=_Layout).layout > LAYOUT:
            raise newer()
        return _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise SyncRefused(
            "destination_unusable",
            f"What the destination says of its own sync cannot be read: {error}",
            "Move the destination away to begin anew, and report this.",
        ) from None

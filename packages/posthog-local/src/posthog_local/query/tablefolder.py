"""Tables beside events: a folder of Parquet files, which somebody else keeps up to date.

Owns finding the tables that are there now. Never reads a row and never writes. Invariant: the files
of one `look` are of one moment, if whoever writes them publishes them by replacing `current`.

A table is a folder `<name>/` with Parquet files in it, below `current/` if that is there, else in
the folder itself. The name of the folder is the name of the table.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

_CURRENT = "current"
_DELTA = "_delta_log"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Before a table's name, for one that has the name of a table of ours.
PREFIX = "warehouse"


class BesideTables(msgspec.Struct, frozen=True):
    """The tables of one moment: by name in lower case, the name as it is and its files."""

    place: Path | None = None
    files: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    #: Delta tables, in lower case: files of theirs may be no part of them any more.
    delta: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """The tables as they are called, sorted."""
        return sorted(name for name, _ in self.files.values())


NO_TABLES = BesideTables()


class TableFolder:
    """Looks into a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look(self) -> BesideTables:
        """What is there now."""
        current = self.folder / _CURRENT
        place = (current if current.is_dir() else self.folder).resolve()
        try:
            folders = sorted(one for one in place.iterdir() if one.is_dir())
        except OSError:
            return NO_TABLES
        tables = [
            one
            for one in folders
            if _NAME.fullmatch(one.name) and next(one.glob("*.parquet"), None) is not None
        ]
        delta = {one for one in tables if (one / _DELTA).exists()}
        return BesideTables(
            place,
            {
                one.name.lower(): (one.name, str(one / "*.parquet"))
                for one in tables
                if one not in delta
            },
            frozenset(one.name.lower() for one in delta),
        )

"""Which table of a deployment is meant: a component's path and the table's name, together.

Owns the pair, which is the key of a table everywhere in this room. Invariant: two tables of two
components are never mistaken for each other, whatever they are called.
"""

from __future__ import annotations

import msgspec


class TableRef(msgspec.Struct, frozen=True, order=True, gc=False):
    """A table of a component; `component` is its path, empty for the app itself."""

    component: str
    table: str

    def __str__(self) -> str:
        return f"{self.component}/{self.table}" if self.component else self.table

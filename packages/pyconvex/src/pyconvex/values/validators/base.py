"""What every validator can do.

Owns the interface and the question that id validators ask about tables. Never checks anything
itself. One invariant: validators are immutable and compare by what they accept and return.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from pyconvex.values.types import Value


class TableNumbers(Protocol):
    """The tables of the component in which a value is checked."""

    def number_of(self, table: str) -> int | None:
        """The table's number, or None if there is no such table."""

    def name_of(self, number: int) -> str | None:
        """The name of the table with this number, or None if there is none."""


class _NoTables:
    """An empty component."""

    def number_of(self, table: str) -> int | None:
        return None

    def name_of(self, number: int) -> str | None:
        return None


#: For values in which no id can be, such as environment variables.
NO_TABLES: Final[TableNumbers] = _NoTables()


class Validator:
    """What a value must be. Make one with `v`, such as `v.string()`."""

    __slots__ = ()

    @property
    def is_optional(self) -> bool:
        """True for `v.optional(…)`: an object's field that may be absent."""
        return False

    def check(self, value: Any, tables: TableNumbers) -> Value:
        """The value in its declared Python form, such as 3 for 3.0 where an int is declared.

        Raises `ValidationFailed` with Convex's text. The caller's objects are never changed; what
        needs no conversion is returned as it is.
        """
        raise NotImplementedError

    def json(self) -> dict[str, Any]:
        """Convex's JSON form of this validator, ready to be encoded."""
        raise NotImplementedError

    def describe(self) -> str:
        """How Convex prints this validator, such as `v.array(v.string())`."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.describe()

"""The Python forms of Convex's types.

Owns `Int64`, `Id`, `UNSET`, `COMMIT_TS` and the alias `Value`. Never encodes or checks. One
invariant: every Convex value has one canonical form here, so equal values look equal to Python:

None, bool, float (every Convex number), `Int64`, str, bytes, list, and dict with str keys.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar

from pyconvex.values.limits import MAX_INT64, MIN_INT64

T = TypeVar("T")


class Int64(int):
    """A 64-bit integer: `v.int64()` in validators, a BigInt in JavaScript.

    A plain Python int is a Convex number instead. Arithmetic gives plain ints, so wrap the result.
    Raises `ValueError` beyond 64 bits.

    >>> Int64(7)
    Int64(7)
    >>> Int64(7) == 7, str(Int64(7))
    (True, '7')
    >>> Int64(2**63)
    Traceback (most recent call last):
    ...
    ValueError: 9223372036854775808 does not fit into a 64-bit signed integer.
    """

    __slots__ = ()

    def __new__(cls, value: Any = 0) -> Self:
        number = super().__new__(cls, value)
        if not MIN_INT64 <= number <= MAX_INT64:
            raise ValueError(f"{number} does not fit into a 64-bit signed integer.")
        return number

    def __repr__(self) -> str:
        return f"Int64({int.__repr__(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)


class Id(str, Generic[T]):
    """A document id: a string that remembers its table for the type checker.

    Write `Id[User]` with a document class or `Id["users"]` with a table's name. At run time it is a
    str; `v.id(table)` checks that it belongs to the table.

    >>> Id("j57000820c20a1g7104gm2rc1m70ynr8") == "j57000820c20a1g7104gm2rc1m70ynr8"
    True
    >>> Id["users"]
    pyconvex.values.types.Id[typing.Literal['users']]
    """

    __slots__ = ()

    def __class_getitem__(cls, table: Any) -> Any:
        # A bare string would become a forward reference, which get_type_hints tries to resolve.
        named = Literal[table] if isinstance(table, str) else table
        return super().__class_getitem__(named)  # type: ignore[misc]  # Generic's, unknown to mypy


class Unset(enum.Enum):
    """The type of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


#: No value at all, JavaScript's `undefined`: removes a field in `patch`, means "field missing" in
#: an index range, is left out of encoded objects. Falsy; compare with `is`.
UNSET: Final = Unset.UNSET


class PendingCommitTs(enum.Enum):
    """The type of `COMMIT_TS`."""

    COMMIT_TS = "COMMIT_TS"

    def __repr__(self) -> str:
        return "COMMIT_TS"


#: Stands in a document for the timestamp of the commit that is yet to come, which takes its place:
#: an `Int64`, in nanoseconds since 1970, greater in each commit than in all before. A mutation gets
#: it as `ctx.db.vars.commit_ts`; no argument and no result can hold it.
COMMIT_TS: Final = PendingCommitTs.COMMIT_TS

#: The type of a field that holds a commit timestamp: an `Int64` once the document is committed.
CommitTs: TypeAlias = Int64 | PendingCommitTs

#: Every Convex value in its canonical Python form.
Value: TypeAlias = bool | float | Int64 | str | bytes | list["Value"] | dict[str, "Value"] | None

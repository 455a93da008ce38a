"""Validators of values without parts.

Owns one class for each of Convex's plain types, literals, ids and `any`, and `IntValidator`, which
is ours. Never looks inside arrays and objects. One invariant: a bool is no number, an `Int64` is no
number, and a number is no `Int64`; only a plain Python int, which never comes from a client, takes
the type that is declared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from pyconvex.values.errors import InvalidId, InvalidValidator
from pyconvex.values.ids import decode_id
from pyconvex.values.limits import MAX_INT64, MAX_SAFE_INTEGER, MIN_INT64
from pyconvex.values.types import COMMIT_TS, UNSET, Int64, Value
from pyconvex.values.validators.base import TableNumbers, Validator
from pyconvex.values.validators.display import show_number, show_string
from pyconvex.values.validators.failures import NoMatch, WrongLiteral, WrongTable


class _Plain(Validator):
    """A validator without parameters."""

    __slots__ = ()
    _type = ""
    _method = ""

    def json(self) -> dict[str, Any]:
        return {"type": self._type}

    def describe(self) -> str:
        return f"v.{self._method}()"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return self.describe()


class NullValidator(_Plain):
    """`v.null()`: None."""

    __slots__ = ()
    _type = _method = "null"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if value is None:
            return None
        raise NoMatch(value, self)


class BooleanValidator(_Plain):
    """`v.boolean()`: True or False."""

    __slots__ = ()
    _type = _method = "boolean"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if value is True or value is False:
            return value
        raise NoMatch(value, self)


class StringValidator(_Plain):
    """`v.string()`: a str, ids included."""

    __slots__ = ()
    _type = _method = "string"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if isinstance(value, str):
            return value
        raise NoMatch(value, self)


class BytesValidator(_Plain):
    """`v.bytes()`: bytes; a bytearray or memoryview is copied."""

    __slots__ = ()
    _type = _method = "bytes"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if isinstance(value, bytes):
            return value
        if isinstance(value, (bytearray, memoryview)):
            return bytes(value)
        raise NoMatch(value, self)


class Float64Validator(_Plain):
    """`v.float64()` or `v.number()`: a float, NaN and infinities included.

    A plain int that a double holds safely becomes a float.
    """

    __slots__ = ()
    _type, _method = "number", "float64"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if isinstance(value, float):
            return value
        if _is_safe_int(value):
            return float(value)
        raise NoMatch(value, self)


class IntValidator(_Plain):
    """`v.int()`: a Convex number without fraction, as a Python int.

    In JSON and in print it is Convex's number. Refuses 1.5, NaN, infinities and whole numbers
    beyond ±(2**53 - 1), which two different ints could share.
    """

    __slots__ = ()
    _type, _method = "number", "float64"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if _is_safe_int(value):
            return cast(float, int(value))
        if not isinstance(value, float):
            raise NoMatch(value, self)
        if not value.is_integer():
            raise NoMatch(value, self, " without a fraction (declared as int)")
        if abs(value) > MAX_SAFE_INTEGER:
            raise NoMatch(value, self, " up to 2**53 - 1 (declared as int; Int64 holds more)")
        return int(value)

    def __repr__(self) -> str:
        return "v.int()"


class Int64Validator(_Plain):
    """`v.int64()` or `v.bigint()`: an `Int64`. A plain int of 64 bits becomes one."""

    __slots__ = ()
    _type, _method = "bigint", "int64"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if isinstance(value, Int64):
            return value
        if _is_plain_int(value) and MIN_INT64 <= value <= MAX_INT64:
            return Int64(value)
        raise NoMatch(value, self)


class CommitTsValidator(_Plain):
    """`v.commit_ts()`: an `Int64`, or `COMMIT_TS` until the document is committed."""

    __slots__ = ()
    _type, _method = "commitTs", "commit_ts"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if isinstance(value, Int64) or value is COMMIT_TS:
            return cast(Value, value)
        raise NoMatch(value, self)


class AnyValidator(_Plain):
    """`v.any()`: every Convex value, as it is."""

    __slots__ = ()
    _type = _method = "any"

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if value is UNSET:
            raise NoMatch(value, self)
        return cast(Value, value)


@dataclass(frozen=True, slots=True)
class IdValidator(Validator):
    """`v.id("users")`: an id of that table, in the component that checks. It need not exist."""

    table: str

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if not isinstance(value, str):
            raise NoMatch(value, self)
        try:
            number = decode_id(value).table_number
        except InvalidId:
            raise NoMatch(value, self) from None
        if number == tables.number_of(self.table):
            return value
        found = tables.name_of(number)
        if found is None:
            raise NoMatch(value, self)
        raise WrongTable(value, found, self)

    def json(self) -> dict[str, Any]:
        return {"type": "id", "tableName": self.table}

    def describe(self) -> str:
        return f'v.id("{self.table}")'


@dataclass(frozen=True, slots=True)
class LiteralValidator(Validator):
    """`v.literal(x)`: that one string, number, Int64 or bool, returned as it was declared."""

    value: str | float | Int64 | bool
    _kind: type = field(init=False, repr=False)

    def __post_init__(self) -> None:
        value = self.value
        if isinstance(value, float) and value - value != 0:
            raise InvalidValidator(
                "Infinite or NaN values are not supported in literal validators."
            )
        if _is_plain_int(value) and not _is_safe_int(value):
            raise InvalidValidator(
                f"v.literal({value}) is too large for a number: use v.literal(Int64({value}))"
            )
        kind = _literal_kind(value)
        if kind is None:
            raise InvalidValidator("v.literal(value) must be a string, number, or boolean")
        object.__setattr__(self, "_kind", kind)

    def check(self, value: Any, tables: TableNumbers) -> Value:
        if value == self.value and _literal_kind(value) is self._kind:
            return self.value
        raise WrongLiteral(value, self)

    def json(self) -> dict[str, Any]:
        value: object = self.value
        return {"type": "literal", "value": float(self.value) if self._kind is float else value}

    def describe(self) -> str:
        if isinstance(self.value, str):
            shown = show_string(self.value)
        elif isinstance(self.value, bool):
            shown = "true" if self.value else "false"
        else:
            shown = "<bigint>" if self._kind is Int64 else show_number(self.value)
        return f"v.literal({shown})"


def _literal_kind(value: object) -> type | None:
    """The Convex type of a plain value, int and float being one."""
    for kind in (str, bool, Int64):
        if isinstance(value, kind):
            return kind
    return float if isinstance(value, (int, float)) else None


def _is_plain_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, (bool, Int64))


def _is_safe_int(value: Any) -> bool:
    return _is_plain_int(value) and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER

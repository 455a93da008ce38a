"""`v`: how validators are written.

Owns the names, which are Convex's, and `v.int()`, which is ours. Never checks values. One
invariant: what `v` makes is immutable, so it can be shared between declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyconvex.values.errors import InvalidValidator
from pyconvex.values.types import Int64
from pyconvex.values.validators.base import Validator
from pyconvex.values.validators.composites import (
    ArrayValidator,
    ObjectValidator,
    OptionalValidator,
    RecordValidator,
    UnionValidator,
    optional,
)
from pyconvex.values.validators.leaves import (
    AnyValidator,
    BooleanValidator,
    BytesValidator,
    CommitTsValidator,
    Float64Validator,
    IdValidator,
    Int64Validator,
    IntValidator,
    LiteralValidator,
    NullValidator,
    StringValidator,
)


class Builders:
    """Makes validators.

    >>> from pyconvex.values import NO_TABLES
    >>> user = v.object({"name": v.string(), "age": v.optional(v.int())})
    >>> user.check({"name": "Ada", "age": 36.0}, NO_TABLES)
    {'name': 'Ada', 'age': 36}
    >>> print(user)
    v.object({age: v.optional(v.float64()), name: v.string()})
    """

    __slots__ = ()

    def null(self) -> NullValidator:
        """None."""
        return NullValidator()

    def boolean(self) -> BooleanValidator:
        """True or False."""
        return BooleanValidator()

    def string(self) -> StringValidator:
        """A str."""
        return StringValidator()

    def bytes(self) -> BytesValidator:
        """Bytes."""
        return BytesValidator()

    def float64(self) -> Float64Validator:
        """A number, as a float."""
        return Float64Validator()

    number = float64

    def int(self) -> IntValidator:
        """A number without fraction within ±(2**53 - 1), as a Python int."""
        return IntValidator()

    def int64(self) -> Int64Validator:
        """A 64-bit integer, as `Int64`; a BigInt in JavaScript."""
        return Int64Validator()

    bigint = int64

    def commit_ts(self) -> CommitTsValidator:
        """The timestamp of a commit, as `Int64`; for fields of documents that are written with
        `ctx.db.vars.commit_ts`.
        """
        return CommitTsValidator()

    def any(self) -> AnyValidator:
        """Every Convex value."""
        return AnyValidator()

    def id(self, table: str) -> IdValidator:
        """An id of a table of the same component."""
        if not isinstance(table, str):
            raise InvalidValidator("v.id(tableName) requires a string")
        return IdValidator(table)

    def literal(self, value: str | float | Int64 | bool) -> LiteralValidator:
        """One string, number, Int64 or bool."""
        return LiteralValidator(value)

    def array(self, element: Validator) -> ArrayValidator:
        """A list."""
        return ArrayValidator(element)

    def object(self, fields: Mapping[str, Validator]) -> ObjectValidator:
        """A dict with exactly these fields."""
        return ObjectValidator.of(fields)

    def record(self, keys: Validator, values: Validator) -> RecordValidator:
        """A dict with names that are not known in advance."""
        return RecordValidator(keys, values)

    def union(self, *members: Validator) -> UnionValidator:
        """What at least one member accepts; nothing at all if there is none."""
        return UnionValidator(members)

    def nullable(self, validator: Validator) -> UnionValidator:
        """That or None."""
        return UnionValidator((validator, NullValidator()))

    def optional(self, validator: Validator) -> OptionalValidator:
        """A field of an object that may be absent."""
        if not isinstance(validator, Validator):
            raise InvalidValidator(f"v.optional() takes a validator, not {validator!r}")
        return optional(validator)


v: Final = Builders()

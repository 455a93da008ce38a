"""What is known of a table's fields: one kind a column, and how a kind gives way to a wider one.

Owns the kinds, the promotion rules and the schema of a table. Never sees a value. Invariant: kinds
only widen, so every value that ever fitted a column still fits it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from posthog_convex.warehouse.tables import names


class Kind(enum.Enum):
    """What a column holds. Convex's int64 and float64 are two kinds, not one number."""

    VOID = "void"  #: only null was ever there
    BOOL = "bool"
    INT = "int64"
    FLOAT = "float64"
    TEXT = "string"
    BYTES = "bytes"
    JSON = "json"  #: objects, arrays and mixtures, as the deployment's own text


#: From here on int64 values have neighbours that a float64 cannot tell apart.
EXACT_IN_FLOAT = 2**53


def joined(one: Kind, other: Kind) -> Kind:
    """The narrowest kind that holds the values of both.

    >>> joined(Kind.INT, Kind.FLOAT), joined(Kind.INT, Kind.TEXT), joined(Kind.VOID, Kind.BOOL)
    (<Kind.FLOAT: 'float64'>, <Kind.JSON: 'json'>, <Kind.BOOL: 'bool'>)
    """
    if one is other or other is Kind.VOID:
        return one
    if one is Kind.VOID:
        return other
    if {one, other} == {Kind.INT, Kind.FLOAT}:
        return Kind.FLOAT
    return Kind.JSON


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a table's documents, and the column it has in the destination."""

    field: str
    name: str
    kind: Kind
    #: Somebody wrote null here. That is not the same as leaving the field out.
    nulls: bool = False
    #: NaN or an infinity was here: the deployment writes those as objects, not as numbers.
    special: bool = False
    #: int64 values of more than 53 bits were here: no float64 column can take them.
    wide: bool = False

    def widened(self, seen: Column) -> Column:
        """This column once it also holds what `seen` says was found."""
        kind = joined(self.kind, seen.kind)
        wide = self.wide or seen.wide
        if kind is Kind.FLOAT and wide:
            kind = Kind.JSON
        return msgspec.structs.replace(
            self,
            kind=kind,
            nulls=self.nulls or seen.nulls,
            special=self.special or seen.special,
            wide=wide,
        )


class Schema(msgspec.Struct, frozen=True):
    """The columns of one table, in the order in which their fields were first seen."""

    columns: tuple[Column, ...] = ()

    @property
    def has_nulls(self) -> bool:
        return any(column.nulls for column in self.columns)

    def widened(self, seen: Iterable[Column]) -> Schema:
        """This schema once it also holds what was seen. Old columns keep place and name.

        >>> Schema().widened([Column(field="Name", name="", kind=Kind.TEXT)]).columns[0].name
        'Name'
        """
        columns = {column.field: column for column in self.columns}
        taken = {column.name for column in self.columns}
        for column in seen:
            known = columns.get(column.field)
            if known is not None:
                columns[column.field] = known.widened(column)
                continue
            name = names.free_name(column.field, taken)
            taken.add(name)
            columns[column.field] = msgspec.structs.replace(column, name=name)
        return Schema(tuple(columns.values()))

"""The value model: what data is, everywhere in the house.

Owns Convex's types in Python, their JSON encoding, their order, document ids, validators, sizes and
limits. Never does I/O and imports nothing else of this package.
"""

from pyconvex.values import codec, ids, limits, order, sizes
from pyconvex.values.errors import (
    InvalidId,
    InvalidValidator,
    InvalidValue,
    MalformedJson,
    UnknownFormat,
)
from pyconvex.values.ids import DocumentId
from pyconvex.values.types import UNSET, Id, Int64, Unset, Value

__all__ = [
    "UNSET",
    "DocumentId",
    "Id",
    "Int64",
    "InvalidId",
    "InvalidValidator",
    "InvalidValue",
    "MalformedJson",
    "UnknownFormat",
    "Unset",
    "Value",
    "codec",
    "ids",
    "limits",
    "order",
    "sizes",
]

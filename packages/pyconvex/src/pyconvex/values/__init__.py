"""The value model: what data is, everywhere in the house.

Owns Convex's types in Python, their JSON encoding, their order, document ids, validators, sizes and
limits. Never does I/O and imports nothing else of this package.
"""

from pyconvex.values import codec, ids, limits, names, order, sizes
from pyconvex.values.errors import (
    InvalidId,
    InvalidName,
    InvalidValidator,
    InvalidValue,
    MalformedJson,
    UnknownFormat,
)
from pyconvex.values.ids import DocumentId
from pyconvex.values.types import (
    COMMIT_TS,
    UNSET,
    CommitTs,
    Id,
    Int64,
    PendingCommitTs,
    Unset,
    Value,
)
from pyconvex.values.validators import NO_TABLES, TableNumbers, ValidationFailed, Validator, v

__all__ = [
    "COMMIT_TS",
    "NO_TABLES",
    "UNSET",
    "CommitTs",
    "DocumentId",
    "Id",
    "Int64",
    "InvalidId",
    "InvalidName",
    "InvalidValidator",
    "InvalidValue",
    "MalformedJson",
    "PendingCommitTs",
    "TableNumbers",
    "UnknownFormat",
    "Unset",
    "ValidationFailed",
    "Validator",
    "Value",
    "codec",
    "ids",
    "limits",
    "names",
    "order",
    "sizes",
    "v",
]

"""Validators: what a value must be, said once and used everywhere.

Owns `v` and what it makes: checking with Convex's error texts, the JSON form that deployments and
code generation exchange, and the printed form. Never looks at documents: an id validator asks
`tables` for numbers and names only. One invariant: what `check` returns is in the declared Python
form, so checking it again changes nothing.
"""

from pyconvex.values.validators.base import NO_TABLES, TableNumbers, Validator
from pyconvex.values.validators.builders import v
from pyconvex.values.validators.composites import (
    ArrayValidator,
    ObjectValidator,
    OptionalValidator,
    RecordValidator,
    UnionValidator,
)
from pyconvex.values.validators.failures import ValidationFailed
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

__all__ = [
    "NO_TABLES",
    "AnyValidator",
    "ArrayValidator",
    "BooleanValidator",
    "BytesValidator",
    "CommitTsValidator",
    "Float64Validator",
    "IdValidator",
    "Int64Validator",
    "IntValidator",
    "LiteralValidator",
    "NullValidator",
    "ObjectValidator",
    "OptionalValidator",
    "RecordValidator",
    "StringValidator",
    "TableNumbers",
    "UnionValidator",
    "ValidationFailed",
    "Validator",
    "v",
]

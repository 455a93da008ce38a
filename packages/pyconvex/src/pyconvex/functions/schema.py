"""Schemas: tables, their fields and their indexes.

Owns the declarations; validation on write happens where documents are written. One invariant: a
table has one declaration, by class or by `define_table`, never both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pyconvex.database import DatabaseError
from pyconvex.functions.documents import Document
from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.hints import DocumentValidator, document_fields
from pyconvex.values import TableNumbers, ValidationFailed, Validator, v
from pyconvex.values.validators import (
    ArrayValidator,
    IntValidator,
    ObjectValidator,
    OptionalValidator,
    RecordValidator,
    UnionValidator,
)


@dataclass(frozen=True)
class Table:
    """One table: what its documents must be, and by what they can be found."""

    validator: Validator
    indexes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: The class of its documents, when the table was declared by one.
    document: type[Document] | None = None
    #: Indexes that are built and kept up to date, and that no query uses yet.
    staged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: False when documents are stored whatever their fields are.
    enforced: bool = True

    def index(self, name: str, fields: Sequence[str], *, staged: bool = False) -> Table:
        """The same table with one more index over `fields`, in that order.

        A deploy waits until its new indexes are built. With `staged=True` it doesn't: the index is
        built in the background and cannot be queried; drop the flag later to use it at once.
        """
        if name in self.indexes or name in self.staged:
            raise DefinitionError(f"index {name!r} is declared twice")
        if staged:
            return replace(self, staged={**self.staged, name: list(fields)})
        return replace(self, indexes={**self.indexes, name: list(fields)})

    def load(self, fields: dict[str, Any], tables: TableNumbers) -> Any:
        """A stored document as the app sees it: typed, with declared ints as ints."""
        for name, validator in self._converted:
            if name in fields:
                try:
                    fields[name] = validator.check(fields[name], tables)
                except ValidationFailed:
                    if self.enforced:
                        raise
        return fields if self.document is None else self.document.from_fields(fields)

    @cached_property
    def _converted(self) -> tuple[tuple[str, Validator], ...]:
        """The fields that Python has in another form than storage."""
        entries = self.validator.entries if isinstance(self.validator, ObjectValidator) else ()
        return tuple((name, field) for name, field in entries if _converts(field))


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables by name."""

    tables: Mapping[str, Table]
    #: False when the tables only say which indexes and types there are.
    enforced: bool = True


def schema_check(schema: Schema, tables: TableNumbers, table: str, document: Any) -> None:
    """Raise `DatabaseError` when a document, as it would be stored, doesn't match its table."""
    declared = schema.tables.get(table)
    if declared is None or not declared.enforced:
        return
    bare = {k: v for k, v in document.items() if k not in ("_id", "_creationTime")}
    try:
        declared.validator.check(bare, tables)
    except ValidationFailed as error:
        raise DatabaseError(
            "SchemaEnforcementError",
            f'Failed to insert or update a document in table "{table}" because it does not match '
            f"the schema: {error}",
        ) from None


def _converts(validator: Validator) -> bool:
    match validator:
        case IntValidator() | DocumentValidator():
            return True
        case OptionalValidator(inner=inner):
            return _converts(inner)
        case ArrayValidator(element=element):
            return _converts(element)
        case RecordValidator(values=values):
            return _converts(values)
        case UnionValidator(members=members):
            return any(map(_converts, members))
        case ObjectValidator(entries=entries):
            return any(_converts(field) for _, field in entries)
        case _:
            return False


def define_table(fields: Mapping[str, Validator] | Validator) -> Table:
    """Declare a table by its fields' validators.

    >>> define_table({"name": v.string()}).index("by_name", ["name"]).indexes
    {'by_name': ['name']}
    """
    return Table(fields if isinstance(fields, Validator) else v.object(dict(fields)))


def define_schema(tables: Mapping[str, Table], *, schema_validation: bool = True) -> Schema:
    """Declare all tables of an app or component that are not declared by classes.

    With `schema_validation=False` documents are neither checked when they are written nor at a
    deploy, those of document classes included: the schema gives indexes and types alone.
    """
    return Schema(dict(tables), schema_validation)


def table_of(document: type[Document]) -> Table:
    """The declaration that a document class makes."""
    fields = v.object(document_fields(document))
    return Table(fields, document.indexes, document, document.staged_indexes)


def collect_schema(explicit: Schema | None, classes: Iterable[type[Document]]) -> Schema:
    """One schema from `define_schema` and the document classes that the modules define."""
    tables = dict(explicit.tables) if explicit else {}
    for document in classes:
        known = tables.get(document.table)
        if known is not None and known.document is not document:
            raise DefinitionError(f"table {document.table!r} is declared twice")
        tables[document.table] = table_of(document)
    enforced = explicit is None or explicit.enforced
    return Schema({n: replace(t, enforced=enforced) for n, t in tables.items()}, enforced)

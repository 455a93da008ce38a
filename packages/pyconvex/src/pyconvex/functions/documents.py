"""Typed documents: a class per table.

Owns the `Document` base class, which turns annotations into a table's schema and gives documents
attributes. Never touches the database: `ctx.db` makes and takes instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, dataclass_transform

from pyconvex.functions.pagination import PaginationOptions, PaginationResult
from pyconvex.values import Id


@dataclass_transform(kw_only_default=True)
class Document:
    """Base of an app's tables: annotate the fields, name the table.

    Instances have the fields as attributes, `_id` and `_creationTime` included once stored. The
    annotations are the table's schema: writes that don't match raise.

    >>> class User(Document, table="users", indexes={"by_email": ["email"]}):
    ...     name: str
    ...     email: str
    >>> User(name="Ada", email="ada@example.com").name
    'Ada'
    >>> User.table
    'users'
    """

    table: ClassVar[str]
    indexes: ClassVar[Mapping[str, Sequence[str]]]
    staged_indexes: ClassVar[Mapping[str, Sequence[str]]]

    _id: Id[Self]
    _creationTime: float

    def __init_subclass__(
        cls,
        *,
        table: str | None = None,
        indexes: Mapping[str, Sequence[str]] | None = None,
        staged_indexes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init_subclass__()
        if table is not None:
            cls.table = table
            cls.indexes = dict(indexes or {})
            cls.staged_indexes = dict(staged_indexes or {})
        elif not hasattr(cls, "table"):
            raise TypeError(
                f'{cls.__name__} names no table: write class {cls.__name__}(Document, table="…")'
            )

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    @classmethod
    def id(cls, text: str) -> Id[Self]:
        """Say that `text` is an id of this table, for the type checker; nothing is checked here."""
        return Id(text)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Make an instance from a stored document; the host calls this."""
        document = cls.__new__(cls)
        document.__dict__ = fields
        return document

    def to_fields(self) -> dict[str, Any]:
        """The fields as a plain dictionary, system fields included once stored."""
        return dict(self.__dict__)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # mutable value object, like a dataclass

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


def plain(value: Any) -> Any:
    """`value` with every `Document` and page in it as a dictionary, ready to be encoded."""
    if isinstance(value, (Document, PaginationOptions, PaginationResult)):
        value = value.to_fields()
    if isinstance(value, dict):
        return {k: v if type(v) in _LEAVES else plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [v if type(v) in _LEAVES else plain(v) for v in value]
    return value


#: What most values are, and what is never taken apart.
_LEAVES = frozenset({str, float, int, bool, type(None)})

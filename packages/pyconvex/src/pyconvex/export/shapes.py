"""What the documents of a table look like: which fields, of which types.

Owns the shape of values, found by looking at them. Never forgets what it has seen, so a shape may
be wider than what is there now. One invariant: every value that was seen is of the shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyconvex.values import InvalidId, InvalidName, ids
from pyconvex.values.names import check_identifier

#: Objects with more fields are taken for records, whose keys are data.
MAX_FIELDS = 64

#: Sets of names and types that are remembered for one shape.
MAX_KNOWN = 512

_KINDS = {str: "string", bool: "boolean", type(None): "null", float: "number"}
_TAGS = {"$integer": "int64", "$float": "special", "$bytes": "bytes"}
#: Kinds of which one more value says nothing new.
_PLAIN = (bool, type(None), float)


class _Alike:
    """Objects with the same names and types of fields: how many were seen, and which of their
    fields another value may say more of."""

    __slots__ = ("count", "names", "open")

    def __init__(self, names: Iterable[str], still_open: list[str]) -> None:
        self.names = frozenset(names)
        self.open = still_open
        self.count = 1


class Shape:
    """The shape of all values that were given to `see`: plain JSON of the tagged encoding.

    >>> shape = Shape()
    >>> for value in ({"a": 1.0}, {"a": "x", "b": None}):
    ...     shape.see(value)
    >>> {name: (sorted(field.kinds), shape.optional(name)) for name, field in shape.fields.items()}
    {'a': (['number', 'string'], False), 'b': (['null'], True)}
    """

    __slots__ = ("_alike", "_counts", "elements", "fields", "ids", "kinds", "objects", "values")

    def __init__(self) -> None:
        #: Of null, boolean, int64, number, special, string, bytes, array, object.
        self.kinds: set[str] = set()
        #: Numbers of tables, while every string was an id.
        self.ids: set[int] = set()
        self.elements: Shape | None = None
        #: The fields of objects; None for records, whose values have one shape.
        self.fields: dict[str, Shape] | None = {}
        self.values: Shape | None = None
        self.objects = 0
        self._alike: dict[tuple[Any, ...], _Alike] = {}
        #: How many objects had a field, but for those counted in `_alike`.
        self._counts: dict[str, int] = {}

    def see(self, value: Any) -> None:
        """Widen the shape by a value."""
        kind = type(value)
        if kind is dict:
            self._see_object(value)
        elif kind is list:
            self.kinds.add("array")
            self.elements = self.elements or Shape()
            for element in value:
                self.elements.see(element)
        elif kind is str:
            self._see_string(value)
        else:
            self.kinds.add(_KINDS[kind])

    def optional(self, field: str) -> bool:
        """Whether some object had no such field."""
        alike = sum(each.count for each in self._alike.values() if field in each.names)
        return self._counts.get(field, 0) + alike < self.objects

    def _see_string(self, text: str) -> None:
        if "string" in self.kinds:
            return
        try:
            self.ids.add(ids.decode_id(text).table_number)
        except InvalidId:
            self.kinds.add("string")
            self.ids.clear()

    def _see_object(self, value: dict[str, Any]) -> None:
        if len(value) == 1:
            [name] = value
            if name in _TAGS:
                self.kinds.add(_TAGS[name])
                return
        self.kinds.add("object")
        self.objects += 1
        if self.fields is None:
            for part in value.values():
                self._value().see(part)
            return
        signature = (*value, *map(type, value.values()))
        alike = self._alike.get(signature)
        if alike is None:
            self._see_new(value, signature)
            return
        alike.count += 1
        for name in alike.open:
            self.fields[name].see(value[name])

    def _see_new(self, value: dict[str, Any], signature: tuple[Any, ...]) -> None:
        """An object of names and types that no object before had."""
        fields = self.fields
        assert fields is not None
        for name, part in value.items():
            fields.setdefault(name, Shape()).see(part)
        if "_id" not in fields and (len(fields) > MAX_FIELDS or not _are_names(value)):
            self._become_record()
            return
        still_open = [
            name
            for name, part in value.items()
            if type(part) not in _PLAIN
            and not (type(part) is str and "string" in fields[name].kinds)
        ]
        if len(self._alike) >= MAX_KNOWN:
            self._forget_alike()
        self._alike[signature] = _Alike(value, still_open)

    def _forget_alike(self) -> None:
        for each in self._alike.values():
            for name in each.names:
                self._counts[name] = self._counts.get(name, 0) + each.count
        self._alike.clear()

    def _become_record(self) -> None:
        for shape in (self.fields or {}).values():
            self._value().merge(shape)
        self.fields = None
        self._alike.clear()

    def _value(self) -> Shape:
        if self.values is None:
            self.values = Shape()
        return self.values

    def merge(self, other: Shape) -> None:
        """Take in what another shape has seen."""
        self.kinds |= other.kinds
        self.ids = set() if "string" in self.kinds else self.ids | other.ids
        self.objects += other.objects
        if other.elements is not None:
            self.elements = self.elements or Shape()
            self.elements.merge(other.elements)
        if self.fields is None or other.fields is None:
            self._become_record()
            for shape in (*(other.fields or {}).values(), other.values):
                if shape is not None:
                    self._value().merge(shape)
            return
        self._forget_alike()
        other._forget_alike()
        for name, shape in other.fields.items():
            self.fields.setdefault(name, Shape()).merge(shape)
            self._counts[name] = self._counts.get(name, 0) + other._counts[name]


def _are_names(fields: Iterable[str]) -> bool:
    try:
        for field in fields:
            check_identifier(field)
    except InvalidName:
        return False
    return True

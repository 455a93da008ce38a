"""Validators as TypeScript types.

Owns how each kind of validator is written. Never sees a validator object: its JSON form says all.
One invariant: a name that is no JavaScript identifier is quoted, so what is written can be parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

#: A validator in Convex's JSON form.
Shape: TypeAlias = Mapping[str, Any]

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_SIMPLE = {
    "null": "null",
    "number": "number",
    "bigint": "bigint",
    "boolean": "boolean",
    "string": "string",
    "bytes": "ArrayBuffer",
    "any": "any",
}
_INDENT = "  "


class Writer:
    """Writes types; `documents` are shapes that have a shorter name."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._documents = documents

    def type(self, shape: Shape, depth: int = 0) -> str:
        """The type of what a validator accepts.

        >>> Writer({}).type({"type": "array", "value": {"type": "id", "tableName": "users"}})
        'Array<Id<"users">>'
        """
        named = self._documents.get(key_of(shape))
        if named is not None:
            return named
        match shape:
            case {"type": "literal", "value": value}:
                return literal(value)
            case {"type": "id", "tableName": table}:
                return f"Id<{json.dumps(table)}>"
            case {"type": "array", "value": element}:
                return f"Array<{self.type(element, depth)}>"
            case {"type": "record", "keys": keys, "values": {"fieldType": values}}:
                return f"Record<{self.type(keys, depth)}, {self.type(values, depth)}>"
            case {"type": "union", "value": members}:
                return self._union([self.type(member, depth) for member in members])
            case {"type": "object", "value": fields}:
                return self._object(fields, depth)
            case {"type": str(simple)} if simple in _SIMPLE:
                return _SIMPLE[simple]
        return "any"

    def _union(self, members: Iterable[str]) -> str:
        # Python tells an int from a float where TypeScript has one number.
        return " | ".join(dict.fromkeys(members)) or "never"

    def _object(self, fields: Mapping[str, Any], depth: int) -> str:
        return braced(
            [
                f"{name_of(name)}{'?' if field['optional'] else ''}: "
                f"{self.type(field['fieldType'], depth + 1)};"
                for name, field in sorted(fields.items())
            ],
            depth,
        )


def braced(lines: Iterable[str], depth: int) -> str:
    """Members of a type, one a line, indented below what they belong to."""
    inside = "".join(f"{_INDENT * (depth + 1)}{line}\n" for line in lines)
    return f"{{\n{inside}{_INDENT * depth}}}" if inside else "{}"


def literal(value: object) -> str:
    """A literal type; a Python int stands for a 64-bit integer, a float for a number.

    >>> literal("it's"), literal(1.0), literal(5), literal(True)
    ('"it\\'s"', '1', '5n', 'true')
    """
    if isinstance(value, (bool, str)):
        return json.dumps(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    return f"{value}n"


def name_of(name: str) -> str:
    """A member's name, quoted where it must be.

    >>> name_of("list"), name_of("my-list")
    ('list', '"my-list"')
    """
    return name if _IDENTIFIER.match(name) else json.dumps(name)


def key_of(shape: Shape) -> str:
    """The same text for equal shapes."""
    return json.dumps(shape, sort_keys=True, default=repr)

"""Shapes as JSON Schema, in the dialect that Convex's connectors read.

Owns the words of the schema for each format. Never looks at documents. One invariant: a document of
the shape, written in the format, is valid under the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyconvex.export.shapes import Shape

#: A type by its kind and by the export's format, but for what has parts.
_CLEAN: dict[str, dict[str, Any]] = {
    "int64": {"$description": "int64 represented as base10 string", "type": "string"},
    "bytes": {"$description": "base64 bytes", "type": "string"},
    "special": {
        "$description": "float64",
        "anyOf": [
            {"type": "number"},
            {"type": "string", "$description": "-inf, inf, or NaN"},
        ],
    },
}
_TAGGED_FLOAT = {
    "type": "object",
    "properties": {
        "$float": {"$description": "float64 -> little-endian -> base64", "type": "string"}
    },
}
_ENCODED: dict[str, dict[str, Any]] = {
    "int64": {
        "$description": "int64",
        "type": "object",
        "properties": {
            "$integer": {"$description": "int64 -> little-endian -> base64", "type": "string"}
        },
    },
    "bytes": {
        "type": "object",
        "$description": "base64 bytes",
        "properties": {"$bytes": {"type": "string"}},
    },
    "special": {
        "$description": "float64",
        "anyOf": [
            {"type": "number"},
            {**_TAGGED_FLOAT, "$description": "-0, -inf, inf, or NaN"},
        ],
    },
}
_EXPORT = {
    **_ENCODED,
    "int64": {"$description": "int64", "type": "integer"},
    "special": {
        "$description": "float64",
        "anyOf": [{"type": "number"}, {**_TAGGED_FLOAT, "$description": "-inf, inf, or NaN"}],
    },
}
_FORMATS = {
    "json": _CLEAN,
    "convex_clean_json": _CLEAN,
    "convex_json": _ENCODED,
    "convex_encoded_json": _ENCODED,
    "export_json": _EXPORT,
}
_PLAIN = {"null": "null", "boolean": "boolean", "number": "number", "string": "string"}
#: The order of a union's parts: Convex's.
_ORDER = ("null", "int64", "number", "special", "boolean", "string", "bytes", "object", "array")

_DIALECT = "http://json-schema.org/draft-07/schema#"
_DELTA_FIELDS = {
    "_table": {"type": "string"},
    "_component": {"type": "string"},
    "_ts": {"type": "integer"},
    "_deleted": {"type": "boolean"},
}


def table_schema(
    shape: Shape | None, table: str, names: Mapping[int, str], format: str, *, delta: bool
) -> dict[str, Any]:
    """The schema of a table's rows; without a shape, of an empty table's.

    `names` are the component's tables by their numbers. With `delta`, rows also have what
    `/api/document_deltas` adds.
    """
    if shape is None or not shape.fields:
        id = {"$description": f"Id({table})", "type": "string"}
        schema = _object({"_creationTime": {"type": "number"}, "_id": id}, lambda name: False)
    else:
        written = _Writer(names, _FORMATS[format])
        schema = _object(
            {name: written.schema(field) for name, field in sorted(shape.fields.items())},
            shape.optional,
        )
    if delta:
        schema["properties"] |= _DELTA_FIELDS
    return {"$schema": _DIALECT, **schema}


class _Writer:
    def __init__(self, names: Mapping[int, str], leaves: dict[str, dict[str, Any]]) -> None:
        self._names = names
        self._leaves = leaves

    def schema(self, shape: Shape) -> Any:
        kinds = set(shape.kinds)
        tables = {number for number in shape.ids if number in self._names}
        if shape.ids - tables:  # what looks like an id of a table that is not there is text
            kinds.add("string")
        parts: list[Any] = []
        if "string" not in kinds:
            parts += [
                {"$description": f"Id({self._names[number]})", "type": "string"}
                for number in sorted(tables)
            ]
        if "special" in kinds:
            kinds.discard("number")
        parts += [self._part(kind, shape) for kind in _ORDER if kind in kinds]
        if not parts:
            return False
        return parts[0] if len(parts) == 1 else {"anyOf": parts}

    def _part(self, kind: str, shape: Shape) -> Any:
        if kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        if kind == "array":
            assert shape.elements is not None
            return {"type": "array", "items": self.schema(shape.elements)}
        if kind == "object" and shape.fields is None:
            values = False if shape.values is None else self.schema(shape.values)
            return {"type": "object", "additionalProperties": values}
        if kind == "object":
            fields = sorted((shape.fields or {}).items())
            return _object({name: self.schema(f) for name, f in fields}, shape.optional)
        return self._leaves[kind]


def _object(properties: dict[str, Any], optional: Callable[[str], bool]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "required": sorted(name for name in properties if not optional(name)),
    }

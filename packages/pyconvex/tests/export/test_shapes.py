"""What documents look like: every value seen is valid under the schema that is told."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.export.json_schema import table_schema
from pyconvex.export.shapes import MAX_FIELDS, MAX_KNOWN, Shape
from pyconvex.values import Int64, codec, ids

USER = ids.encode_id(10_001, b"u" * 16)
NOTE = ids.encode_id(10_002, b"n" * 16)
NAMES = {10_001: "users", 10_002: "notes"}

leaves = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.binary(max_size=5)
    | st.sampled_from(["", "text", USER, NOTE])
)
names = st.sampled_from(["a", "b", "c", "not a name", "d1"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)


def seen(documents: list[dict[str, Any]]) -> Shape:
    shape = Shape()
    for document in documents:
        shape.see(json.loads(codec.encode({"_id": USER, "_creationTime": 1.5, **document})))
    return shape


def is_valid(schema: Any, value: Any) -> bool:
    """As much of JSON Schema as Convex's dialect uses."""
    if isinstance(schema, bool):
        return schema
    if "anyOf" in schema:
        return any(is_valid(part, value) for part in schema["anyOf"])
    match schema["type"]:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list) and all(is_valid(schema["items"], v) for v in value)
    if not isinstance(value, dict):
        return False
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    return set(schema.get("required", ())) <= set(value) and all(
        is_valid(properties.get(name, others), part) for name, part in value.items()
    )


@given(
    st.lists(documents, min_size=1, max_size=6),
    st.sampled_from(["json", "export_json", "convex_json"]),
)
def test_every_document_is_valid_under_the_schema(found: list[dict[str, Any]], format: str) -> None:
    schema = table_schema(seen(found), "users", NAMES, format, delta=False)
    for document in found:
        written = json.loads(
            codec.encode_as({"_id": USER, "_creationTime": 1.5, **document}, format)
        )
        assert is_valid(schema, written), (schema, written)


@given(st.lists(documents, min_size=1, max_size=6), st.lists(documents, min_size=1, max_size=6))
def test_the_order_does_not_matter(
    some: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    def told(found: list[dict[str, Any]]) -> Any:
        return table_schema(seen(found), "users", NAMES, "export_json", delta=True)

    assert told([*some, *others]) == told([*others, *some]) == told([*others, *some, *others])


def test_the_words_are_convex_s() -> None:
    shape = seen([{"a": 1.0, "b": Int64(1), "c": USER}, {"a": float("nan"), "c": NOTE}])
    schema = table_schema(shape, "users", NAMES, "json", delta=True)
    assert schema["required"] == ["_creationTime", "_id", "a", "c"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["_id"] == {"$description": "Id(users)", "type": "string"}
    assert properties["b"] == {
        "$description": "int64 represented as base10 string",
        "type": "string",
    }
    assert properties["a"]["$description"] == "float64"
    assert [one["$description"] for one in properties["c"]["anyOf"]] == ["Id(users)", "Id(notes)"]
    assert properties["_ts"] == {"type": "integer"}
    for format, said in (
        ("json", "-inf, inf, or NaN"),
        ("export_json", "-inf, inf, or NaN"),
        ("convex_json", "-0, -inf, inf, or NaN"),
    ):
        schema = table_schema(shape, "users", NAMES, format, delta=True)
        assert schema["properties"]["a"]["anyOf"][1]["$description"] == said


def test_what_looks_like_an_id_of_no_table_is_text() -> None:
    stranger = ids.encode_id(99_999, b"x" * 16)
    schema = table_schema(seen([{"a": stranger}]), "users", NAMES, "json", delta=False)
    assert schema["properties"]["a"] == {"type": "string"}


def test_an_empty_table_has_what_every_document_has() -> None:
    schema = table_schema(None, "users", NAMES, "json", delta=False)
    assert schema["required"] == ["_creationTime", "_id"]


def test_objects_with_data_for_names_are_records() -> None:
    many = {f"k{n}": float(n) for n in range(MAX_FIELDS + 1)}
    schema = table_schema(seen([{"a": many}]), "users", NAMES, "json", delta=False)
    assert schema["properties"]["a"] == {
        "type": "object",
        "additionalProperties": {"type": "number"},
    }


def test_counts_survive_when_what_is_alike_is_forgotten() -> None:
    """More sets of names than are remembered; `a` is in all of them, the others are not."""
    found = [
        {"a": 1.0, **{f"f{bit}": None for bit in range(10) if number >> bit & 1}}
        for number in range(MAX_KNOWN + 200)
    ]
    shape = seen([*found, *found])
    assert not shape.optional("a")
    assert all(shape.optional(f"f{bit}") for bit in range(9))

"""What validators accept, what they return, how they print, and every text of refusal."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import (
    NO_TABLES,
    UNSET,
    Id,
    Int64,
    InvalidValidator,
    ValidationFailed,
    codec,
    ids,
    v,
)


class Tables:
    """Three tables, one of them the system's."""

    numbers = {"users": 10001, "posts": 10002, "_storage": 513}  # noqa: RUF012  # never changed

    def number_of(self, table):
        return self.numbers.get(table)

    def name_of(self, number):
        return next((name for name, n in self.numbers.items() if n == number), None)


TABLES = Tables()
USER, POST, FILE, NOBODY = (ids.encode_id(n, bytes(16)) for n in (10001, 10002, 513, 10003))


def failure(validator, value) -> str:
    with pytest.raises(ValidationFailed) as failed:
        validator.check(value, TABLES)
    return str(failed.value)


# A validator, values that it takes with what it returns, and values that it refuses.
CASES = [
    (v.null(), [(None, None)], [0, False, "", UNSET]),
    (v.boolean(), [(True, True), (False, False)], [1, 0.0, None, "true"]),
    (v.string(), [("a", "a"), (USER, USER)], [1.0, None, b"a", ["a"]]),
    (v.bytes(), [(b"a", b"a"), (bytearray(b"a"), b"a"), (memoryview(b"a"), b"a")], ["a", None]),
    (
        v.float64(),
        [(1.5, 1.5), (math.inf, math.inf), (3, 3.0), (-0.0, -0.0)],
        [True, Int64(1), "1", None, 2**53],
    ),
    (
        v.int(),
        [(3.0, 3), (3, 3), (-0.0, 0), (2.0**53 - 1, 2**53 - 1)],
        [1.5, math.nan, math.inf, 2.0**53, 2**53, True, Int64(3), "3", None],
    ),
    (v.int64(), [(Int64(3), Int64(3)), (3, Int64(3))], [3.0, True, 2**63, "3", None]),
    (v.any(), [(None, None), ([{}], [{}]), (Int64(1), Int64(1))], [UNSET]),
    (v.id("users"), [(USER, USER), (Id(USER), USER)], [POST, FILE, NOBODY, "users", 1.0, None]),
    (v.id("_storage"), [(FILE, FILE)], [USER]),
    (v.id("gone"), [], [USER, "x"]),
    (v.literal("a"), [("a", "a")], ["b", None, b"a"]),
    (v.literal(1), [(1.0, 1), (1, 1)], [True, Int64(1), 2.0, "1"]),
    (v.literal(1.0), [(1.0, 1.0), (1, 1.0)], [True, Int64(1)]),
    (v.literal(True), [(True, True)], [1.0, 1, "true", False]),
    (v.literal(Int64(1)), [(Int64(1), Int64(1))], [1.0, 1, True]),
    (v.array(v.int()), [([1.0, 2], [1, 2]), ((1.0,), [1]), ([], [])], ["a", [None], {}, None]),
    (v.array(v.string()), [(("a",), ["a"]), ((), [])], ["a"]),
    (
        v.object({"a": v.int(), "b": v.optional(v.string())}),
        [
            ({"a": 1.0}, {"a": 1}),
            ({"a": 1.0, "b": "x"}, {"a": 1, "b": "x"}),
            ({"b": UNSET, "a": 1.0}, {"a": 1}),
            ({"c": UNSET, "a": 1.0}, {"a": 1}),
        ],
        [{}, {"a": UNSET}, {"a": 1.0, "b": None}, {"a": 1.0, "c": 1.0}, [], None, "a"],
    ),
    (
        v.record(v.string(), v.int()),
        [({"x": 1.0, "": 2}, {"x": 1, "": 2}), ({}, {})],
        [{"x": "y"}, [], None],
    ),
    (v.record(v.id("users"), v.any()), [({USER: 1.0}, {USER: 1.0})], [{POST: 1.0}, {"x": 1.0}]),
    (
        v.union(v.string(), v.int()),
        [("a", "a"), (1.0, 1)],
        [None, 1.5, True],
    ),
    (v.union(v.literal("a"), v.literal("b")), [("b", "b")], ["c", None]),
    (v.union(v.int64(), v.float64()), [(1.0, 1.0), (Int64(1), Int64(1))], ["1"]),
    (v.union(), [], [None, "a", {}]),
    (v.nullable(v.int()), [(None, None), (1.0, 1)], ["a", 1.5]),
    (v.optional(v.int()), [(1.0, 1)], [None, UNSET]),
]


@pytest.mark.parametrize(("validator", "taken", "refused"), CASES, ids=lambda x: str(x)[:40])
def test_what_is_taken_and_what_is_refused(validator, taken, refused):
    for value, expected in taken:
        returned = validator.check(value, TABLES)
        assert returned == expected
        assert repr(returned) == repr(expected) or isinstance(value, Id)
        assert validator.check(returned, TABLES) == returned
    for value in refused:
        failure(validator, value)


def test_what_needs_no_conversion_is_returned_itself_and_nothing_is_changed():
    validator = v.object(
        {"a": v.array(v.object({"n": v.int()})), "b": v.record(v.string(), v.any())}
    )
    value = {"a": [{"n": 1}], "b": {"x": 1.0}}
    assert validator.check(value, TABLES) is value
    wire = {"a": [{"n": 1.0}], "b": {"x": 1.0}}
    converted = validator.check(wire, TABLES)
    assert repr(converted) == "{'a': [{'n': 1}], 'b': {'x': 1.0}}"
    assert repr(wire) == "{'a': [{'n': 1.0}], 'b': {'x': 1.0}}"


PRINTED = [
    (v.null(), "v.null()", {"type": "null"}),
    (v.boolean(), "v.boolean()", {"type": "boolean"}),
    (v.string(), "v.string()", {"type": "string"}),
    (v.bytes(), "v.bytes()", {"type": "bytes"}),
    (v.number(), "v.float64()", {"type": "number"}),
    (v.float64(), "v.float64()", {"type": "number"}),
    (v.int(), "v.float64()", {"type": "number"}),
    (v.bigint(), "v.int64()", {"type": "bigint"}),
    (v.any(), "v.any()", {"type": "any"}),
    (v.id("users"), 'v.id("users")', {"type": "id", "tableName": "users"}),
    (v.literal('a"b'), 'v.literal("a\\"b")', {"type": "literal", "value": 'a"b'}),
    (v.literal(1), "v.literal(1.0)", {"type": "literal", "value": 1.0}),
    (v.literal(True), "v.literal(true)", {"type": "literal", "value": True}),
    (v.literal(Int64(1)), "v.literal(<bigint>)", {"type": "literal", "value": Int64(1)}),
    (
        v.array(v.string()),
        "v.array(v.string())",
        {"type": "array", "value": {"type": "string"}},
    ),
    (
        v.record(v.string(), v.any()),
        "v.record(v.string(), v.any())",
        {
            "type": "record",
            "keys": {"type": "string"},
            "values": {"fieldType": {"type": "any"}, "optional": False},
        },
    ),
    (
        v.object({"b": v.optional(v.null()), "a": v.any()}),
        "v.object({a: v.any(), b: v.optional(v.null())})",
        {
            "type": "object",
            "value": {
                "a": {"fieldType": {"type": "any"}, "optional": False},
                "b": {"fieldType": {"type": "null"}, "optional": True},
            },
        },
    ),
    (
        v.nullable(v.string()),
        "v.union(v.string(), v.null())",
        {"type": "union", "value": [{"type": "string"}, {"type": "null"}]},
    ),
    (v.union(), "v.union()", {"type": "union", "value": []}),
]


@pytest.mark.parametrize(("validator", "text", "json"), PRINTED, ids=lambda x: str(x)[:40])
def test_print_and_json(validator, text, json):
    assert validator.describe() == str(validator) == text
    assert validator.json() == json
    codec_safe = [value for value in [json] if "$" not in repr(value)]
    assert codec.decode(codec.encode(codec_safe)) == codec_safe


def test_equal_declarations_are_equal_and_hash_alike():
    def declared():
        return v.object(
            {"b": v.array(v.id("t")), "a": v.union(v.literal(1), v.optional(v.int()).inner)}
        )

    assert declared() == declared()
    assert hash(declared()) == hash(declared())
    assert v.literal(1) != v.literal(True)
    assert v.int() != v.float64()
    assert v.string() != v.optional(v.string())


HINT = "Consider wrapping the field validator in `v.optional(...)` if this is expected."


def test_missing_field():
    assert failure(v.object({"room": v.string()}), {}) == (
        f"Object is missing the required field `room`. {HINT}\n"
        "\n"
        "Object: {}\n"
        "Validator: v.object({room: v.string()})"
    )
    assert failure(v.array(v.object({"b": v.object({"c": v.null()})})), [{"b": {}}]) == (
        f"Object is missing the required field `c`. {HINT}\n"
        "Path: [0].b\n"
        "Object: {}\n"
        "Validator: v.object({c: v.null()})"
    )


def test_extra_field():
    value = {"z": 1, "a": "x", "y": None}
    assert failure(v.object({"a": v.string()}), value) == (
        "Object contains extra field `y` that is not in the validator.\n"
        "\n"
        'Object: {a: "x", y: null, z: 1.0}\n'
        "Validator: v.object({a: v.string()})"
    )
    assert failure(v.object({"o": v.object({})}), {"o": {"x": b"hi"}}) == (
        "Object contains extra field `x` that is not in the validator.\n"
        "Path: .o\n"
        'Object: {x: b"aGk="}\n'
        "Validator: v.object({})"
    )


def test_no_match():
    assert failure(v.string(), 1.0) == (
        "Value does not match validator.\n\nValue: 1.0\nValidator: v.string()"
    )
    assert failure(v.object({"a": v.array(v.string())}), {"a": [Int64(3)]}) == (
        "Value does not match validator.\nPath: .a[0]\nValue: 3\nValidator: v.string()"
    )
    assert failure(v.union(v.string(), v.null()), [1, True, None, 'q"\n']) == (
        "Value does not match validator.\n\n"
        'Value: [1.0, true, null, "q\\"\\n"]\n'
        "Validator: v.union(v.string(), v.null())"
    )
    assert failure(v.id("users"), "nonsense") == (
        'Value does not match validator.\n\nValue: "nonsense"\nValidator: v.id("users")'
    )


def test_no_match_of_a_declared_int_says_what_the_printed_validator_cannot():
    assert failure(v.object({"n": v.int()}), {"n": 1.5}) == (
        "Value does not match validator.\nPath: .n\nValue: 1.5\n"
        "Validator: v.float64() without a fraction (declared as int)"
    )
    assert failure(v.int(), 1e17) == (
        "Value does not match validator.\n\nValue: 1e17\n"
        "Validator: v.float64() up to 2**53 - 1 (declared as int; Int64 holds more)"
    )


def test_literal():
    assert failure(v.literal("a"), 1) == (
        '`1.0` does not match literal validator `v.literal("a")`.'
    )
    assert failure(v.object({"k": v.array(v.literal(True))}), {"k": [True, "x"]}) == (
        '`"x"` does not match literal validator `v.literal(true)`.Path: .k[1]'
    )


def test_id_of_another_table():
    assert failure(v.id("users"), POST) == (
        f'Found ID "{POST}" from table `posts`, which does not match the table name in validator '
        '`v.id("users")`.'
    )
    assert failure(v.object({"u": v.id("users")}), {"u": FILE}) == (
        f'Found ID "{FILE}" from a system table, which does not match the table name in validator '
        '`v.id("users")`.Path: .u'
    )


def test_records_show_which_side_failed():
    record = v.object({"r": v.record(v.id("users"), v.array(v.int()))})
    assert "\nPath: .r.keys()\n" in failure(record, {"r": {"x": []}})
    assert "\nPath: .r.values()[1]\n" in failure(record, {"r": {USER: [1, "a"]}})


def test_a_union_of_one_reports_the_failure_of_its_member():
    assert failure(v.union(v.literal("a")), "b").startswith('`"b"` does not match literal')


def test_the_first_failure_is_the_first_by_name():
    validator = v.object({"c": v.string(), "a": v.string(), "b": v.string()})
    assert "Path: .a\n" in failure(validator, {"c": 1, "b": 1, "a": 1})
    assert "field `a`" in failure(validator, {"c": 1, "b": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e16, "1e16"),
        (1e-7, "1e-7"),
        (1.5e300, "1.5e300"),
        (123456.5, "123456.5"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
        (-0.0, "-0.0"),
        (2**70, str(2**70)),
        ("tab\tnull\0bell\x07\\", '"tab\\tnull\\0bell\\u{7}\\\\"'),
        ("é🦔'", '"é🦔\'"'),
        (object(), "<object>"),
        (UNSET, "<Unset>"),
        ({2: 1, "a": (1, {2})}, "{2: 1.0, a: [1.0, <set>]}"),
    ],
)
def test_how_values_print(value, text):
    assert f"Value: {text}\n" in failure(v.null(), value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: v.record(v.optional(v.string()), v.any()), "cannot have optional keys"),
        (lambda: v.record(v.string(), v.optional(v.any())), "cannot have optional values"),
        (lambda: v.record(v.literal("a"), v.any()), "Records cannot have string literal keys"),
        (
            lambda: v.record(v.union(v.string(), v.literal("a")), v.any()),
            "Records cannot have string literal keys",
        ),
        (
            lambda: v.record(v.int64(), v.any()),
            r"contains a record with key typed as `v.int64\(\)`, which is not a subtype",
        ),
        (lambda: v.literal(None), r"must be a string, number, or boolean"),
        (lambda: v.literal(b"a"), r"must be a string, number, or boolean"),
        (lambda: v.literal(math.nan), "Infinite or NaN values are not supported"),
        (lambda: v.literal(2**53), r"use v.literal\(Int64\(9007199254740992\)\)"),
        (lambda: v.id(3), r"v.id\(tableName\) requires a string"),
        (lambda: v.object({"a": "string"}), r"v.object\(\) entries must be validators, `a` is not"),
        (lambda: v.object({"a b": v.any()}), "Identifier a b has invalid character ' '"),
        (lambda: v.object({"$a": v.any()}), "Invalid first character"),
        (lambda: v.union(v.any(), str), r"v.union\(\) must be validators"),
        (lambda: v.union(v.optional(v.any())), r"v.union\(\) cannot contain v.optional"),
        (lambda: v.array(v.optional(v.any())), r"v.array\(\) cannot contain v.optional"),
        (lambda: v.array(str), r"v.array\(\) takes validators, not type"),
        (lambda: v.optional(None), r"v.optional\(\) takes a validator, not None"),
    ],
)
def test_validators_that_cannot_be(build, message):
    with pytest.raises(InvalidValidator, match=message):
        build()


def test_optional_fields_say_so():
    assert v.optional(v.string()).is_optional
    assert not v.nullable(v.string()).is_optional
    assert v.optional(v.optional(v.string())) == v.optional(v.string())


def test_objects_make_objects():
    user = v.object({"name": v.string(), "age": v.optional(v.int())})
    assert user.fields == {"age": v.optional(v.int()), "name": v.string()}
    assert user.omit("age") == user.pick("name") == v.object({"name": v.string()})
    assert user.extend({"name": v.null()}).fields["name"] == v.null()
    assert user.partial().check({}, NO_TABLES) == {}


# Any validator takes what is made for it.

_leaves = st.sampled_from(
    [
        (v.null(), st.none()),
        (v.boolean(), st.booleans()),
        (v.string(), st.text(max_size=5)),
        (v.bytes(), st.binary(max_size=5)),
        (v.float64(), st.floats()),
        (v.int(), st.integers(-(2**53) + 1, 2**53 - 1).map(float)),
        (v.int64(), st.integers(-(2**63), 2**63 - 1).map(Int64)),
        (v.any(), st.text(max_size=3) | st.lists(st.none(), max_size=2)),
        (v.id("users"), st.binary(min_size=16, max_size=16).map(lambda b: ids.encode_id(10001, b))),
        (v.literal("x"), st.just("x")),
        (v.literal(3), st.just(3.0)),
    ]
)  # fmt: skip


def _arrays(pair):
    validator, value = pair
    return v.array(validator), st.lists(value, max_size=3)


def _records(pair):
    validator, value = pair
    return v.record(v.string(), validator), st.dictionaries(st.sampled_from("abc"), value)


def _objects(pairs):
    fields = {f"f{i}": v.optional(x) if i % 2 else x for i, (x, _) in enumerate(pairs)}
    required = {f"f{i}": value for i, (_, value) in enumerate(pairs) if i % 2 == 0}
    optional = {f"f{i}": value for i, (_, value) in enumerate(pairs) if i % 2}
    return v.object(fields), st.fixed_dictionaries(required, optional=optional)


def _unions(pairs):
    return v.union(*(x for x, _ in pairs)), st.one_of(value for _, value in pairs)


_pairs = st.recursive(
    _leaves,
    lambda inner: (
        inner.map(_arrays)
        | inner.map(_records)
        | st.lists(inner, max_size=3).map(_objects)
        | st.lists(inner, min_size=1, max_size=3).map(_unions)
    ),
    max_leaves=6,
)


@given(_pairs, st.data())
def test_validators_take_what_is_made_for_them(pair, data):
    validator, made = pair
    value = data.draw(made)
    checked = validator.check(value, TABLES)
    # Neither checking again nor a trip over the wire changes the declared Python form.
    assert form(validator.check(checked, TABLES)) == form(checked)
    wire = codec.decode(codec.encode(checked))
    assert form(validator.check(wire, TABLES)) == form(checked)


def form(value) -> str:
    """Value and types, whatever the order of the fields."""
    if isinstance(value, dict):
        return repr({name: form(value[name]) for name in sorted(value)})
    return repr([form(item) for item in value]) if isinstance(value, list) else repr(value)


@given(_pairs)
def test_what_is_made_for_nobody_is_refused(pair):
    validator, _ = pair
    if "v.any()" not in validator.describe():
        text = failure(validator, object())
        assert "<object>" in text


@given(_pairs)
def test_descriptions_build_the_same_json(pair):
    validator, _ = pair
    # v.int() prints as Convex's number, so the JSON is what must be equal.
    rebuilt = eval(_as_python(validator.describe()), {"v": v, "true": True})
    assert rebuilt.json() == validator.json()


def _as_python(text: str) -> str:
    return re.sub(r"([{ ])(f\d): ", r'\1"\2": ', text)

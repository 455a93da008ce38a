"""Tagged JSON, the readable formats, and everything that must be refused."""

import math
import struct
from enum import IntEnum, StrEnum
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import (
    UNSET,
    Id,
    Int64,
    InvalidValue,
    MalformedJson,
    UnknownFormat,
    codec,
    limits,
)

field_names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).filter(
    lambda name: not name.startswith("$")
)
int64s = st.integers(-(2**63), 2**63 - 1).map(Int64)
scalars = (
    st.none() | st.booleans() | st.floats() | int64s | st.text(max_size=20) | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(field_names, inner, max_size=5),
    max_leaves=20,
)


def same(a: object, b: object) -> bool:
    """Equal in type and value, floats by their bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return a == b


def nested(levels: int, kind: str = "list") -> object:
    value: object = 1.0
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


@given(values)
def test_what_is_encoded_is_decoded(value):
    assert same(codec.decode(codec.encode(value)), value)
    assert same(codec.decode(codec.encode(value).decode()), value)


@given(values)
def test_encoding_does_not_depend_on_key_order_and_touches_nothing(value):
    def turned(part):
        if isinstance(part, dict):
            return {name: turned(part[name]) for name in reversed(part)}
        return [turned(item) for item in part] if isinstance(part, list) else part

    other = turned(value)
    assert codec.encode(value) == codec.encode(other)
    assert same(value, turned(other))


@given(values)
def test_every_format_is_json(value):
    for name in ("json", "export_json", "convex_encoded_json"):
        import json

        json.loads(codec.encode_as(value, name), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1.0"),
        (1.0, "1.0"),
        (0.0, "0.0"),
        (0, "0.0"),
        (-1.5, "-1.5"),
        (1e16, "1e16"),
        (1e21, "1e21"),
        (1e-7, "1e-7"),
        (5e-324, "5e-324"),
        (2**53 - 1, "9007199254740991.0"),
        (-0.0, '{"$float":"AAAAAAAAAIA="}'),
        (math.inf, '{"$float":"AAAAAAAA8H8="}'),
        (-math.inf, '{"$float":"AAAAAAAA8P8="}'),
        (math.nan, '{"$float":"AAAAAAAA+H8="}'),
        (Int64(7), '{"$integer":"BwAAAAAAAAA="}'),
        (Int64(-1), '{"$integer":"//////////8="}'),
        (b"\x00\x10\x83", '{"$bytes":"ABCD"}'),
        (bytearray(b"hi"), '{"$bytes":"aGk="}'),
        (memoryview(b"hi"), '{"$bytes":"aGk="}'),
        ("ä🦔\n\u2028", '"ä🦔\\n\u2028"'),
        ((1, "a"), '[1.0,"a"]'),
        ([0.0, 1.0], "[0.0,1.0]"),
        ([-0.0, 1.0], '[{"$float":"AAAAAAAAAIA="},1.0]'),
        ([1e308, 1e308], "[1e308,1e308]"),
        ([1.0, math.inf], '[1.0,{"$float":"AAAAAAAA8H8="}]'),
        ({"b": 1, "a": {"d": [], "c": {}}}, '{"a":{"c":{},"d":[]},"b":1.0}'),
        ({"": 1, " ": 2}, '{"":1.0," ":2.0}'),
        ({"a": UNSET, "b": 1}, '{"b":1.0}'),
    ],
)
def test_tagged_text(value, text):
    assert codec.encode(value).decode() == text


class Point(NamedTuple):
    x: int
    y: int


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Fraction(float):
    pass


class Fields(dict):
    pass


def test_subclasses_are_what_they_extend():
    value = Fields(
        a=Id("x"), b=Point(1, 2), c=Color.RED, d=Level.HIGH, e=Fraction(0.5), f=[Color.RED]
    )
    assert codec.encode(value) == b'{"a":"x","b":[1.0,2.0],"c":"red","d":3.0,"e":0.5,"f":["red"]}'
    assert codec.encode({Id("k"): 1}) == b'{"k":1.0}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"a": [1, {"b": {2}}]},
            "set is not a Convex type (at .a[1].b). "
            "Use None, bool, int, float, Int64, str, bytes, list or dict.",
        ),
        (object(), "object is not a Convex type. Use None, bool,"),
        (
            {"a": 2**53},
            "int 9007199254740992 is too large for a number (at .a). Numbers hold whole values up "
            "to 2**53 - 1: use Int64 (v.int64()) instead.",
        ),
        ([-(2**53)], "int -9007199254740992 is too large for a number (at [0])."),
        ([UNSET], "UNSET is not a value (at [0]). It can only stand for a field of an object."),
        (UNSET, "UNSET is not a value."),
        ({1: 2}, "Field name 1 is of type int, not str."),
        ({"x": {"$a": 1}}, "Field name $a starts with '$', which is reserved (at .x)."),
        (
            {"é": 1},
            "Field name \\xe9 has invalid character '\\xe9': "
            "Field names can only contain non-control ASCII characters.",
        ),
        ({"a\n": 1}, "Field name a\\n has invalid character '\\n'"),
        ({"\x7f": 1}, "Field name \\x7f has invalid character '\\x7f'"),
        ({"a" * 1025: 1}, "Field name is too long (1025 > maximum 1024)."),
        (
            {f"f{i}": 1 for i in range(1025)},
            "Object has too many fields (1025 > maximum number 1024).",
        ),
        ({"a": [None] * 8193}, "Array length is too long (8193 > maximum length 8192) (at .a)."),
        (nested(65), "Value is too nested (nested 65 levels deep > maximum nesting 64)"),
        (nested(65, "dict"), "Value is too nested (nested 65 levels deep > maximum nesting 64)"),
        (
            {"a": {"b": ["x", "\ud800"]}},
            "str contains half of a surrogate pair, which is no character (at .a.b[1]).",
        ),
        ("\udfff", "str contains half of a surrogate pair, which is no character."),
        (
            {"a": ["a" * (2**24), b"b" * (2**24)]},
            "Value is too large (32.00 MiB > maximum size 32 MiB).",
        ),
    ],
)
def test_encode_refuses(value, message):
    with pytest.raises(InvalidValue) as refused:
        codec.encode(value)
    assert str(refused.value).startswith(message)


def test_limits_are_reached_exactly():
    widest = {f"f{i}": 1.0 for i in range(limits.MAX_OBJECT_FIELDS)}
    longest = [1.0] * limits.MAX_ARRAY_LENGTH
    for value in (widest, longest, nested(64), nested(64, "dict"), {"a" * 1024: None}):
        assert codec.decode(codec.encode(value)) == value


def test_a_list_that_contains_itself_is_too_nested():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InvalidValue, match="too nested"):
        codec.encode(loop)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-0.0", -0.0),
        ("9007199254740993", 9007199254740992.0),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1E2", 100.0),
        (' {"a" : [1, 2.5, {"b": 3}]} ', {"a": [1.0, 2.5, {"b": 3.0}]}),
        ('{"a":1,"a":2}', {"a": 2.0}),
        ('{"$integer":"BwAAAAAAAAA="}', Int64(7)),
        ('{"\\u0024integer":"BwAAAAAAAAA="}', Int64(7)),
        ('{"$float":"AAAAAAAAAAA="}', 0.0),
        ('{"$bytes":""}', b""),
        ('[{"$bytes":"ABCD"},"$bytes","$5"]', [b"\x00\x10\x83", "$bytes", "$5"]),
        ('"\\ud83e\\udd94"', "🦔"),
        ('"\\u0000"', "\x00"),
        ("[" * 20 + "1,true,null,[3]" + "]" * 20, None),
    ],
)
def test_decode(text, value):
    decoded = codec.decode(text)
    if value is None:
        value = [1.0, True, None, [3.0]]
        for _ in range(19):
            value = [value]
    assert same(decoded, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid JSON"),
        ("nope", "Invalid JSON"),
        ("[1,]", "Invalid JSON"),
        ("NaN", "Invalid JSON"),
        ("01", "Invalid JSON"),
        ("1 2", "Invalid JSON"),
        ("1e400", "Invalid JSON: Number out of range"),
        ("9" * 400, "Invalid JSON"),
        ("[" * 10 + "9" * 400 + "]" * 10, "Invalid JSON"),
        ('"\\ud800"', "Invalid JSON"),
        ('"\ud800"', "Invalid JSON: half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "Invalid JSON"),
        (b'"\xff"', "Invalid JSON"),
        ("[" * 200_000, "Value is too nested"),
        ('{"a":[{"$integer":7}]}', "Malformed $integer field: not a string (at .a[0])."),
        ('{"$integer":"AA=="}', "Int64 must be exactly eight bytes."),
        ('{"$integer":"BwAAAAAAAAA"}', "Malformed $integer field: not base 64."),
        ('{"$float":1.5}', "Malformed $float field: not a string."),
        ('{"$float":"AAAAAAAA8D8="}', "Float64 1.0 should be encoded as a number."),
        ('{"$float":"AA=="}', "Float64 must be exactly eight bytes."),
        ('{"$bytes":null}', "Malformed $bytes field: not a string."),
        ('{"$bytes":"AB=="}', "Malformed $bytes field: not base 64."),
        ('{"$bytes":"AA\\n=="}', "Malformed $bytes field: not base 64."),
        ('{"$bytes":"é"}', "Malformed $bytes field: not base 64."),
        ('{"$bytes":"-_=="}', "Malformed $bytes field: not base 64."),
    ],
)
def test_decode_refuses_what_is_malformed(text, message):
    with pytest.raises(MalformedJson) as refused:
        codec.decode(text)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"$set":[]}', "Field name $set starts with '$', which is reserved."),
        ('{"$undefined":null}', "Field name $undefined starts with '$', which is reserved."),
        ('{"$commitTs":null}', "Field name $commitTs starts with '$', which is reserved."),
        ('{"a":{"$integer":"BwAAAAAAAAA=","b":1}}', "Field name $integer starts with '$'"),
        ('{"ä":1}', "Field name \\xe4 has invalid character '\\xe4'"),
        ('{"\\u00e4":1}', "Field name \\xe4 has invalid character '\\xe4'"),
        ('{"\\t":1}', "Field name \\t has invalid character '\\t'"),
        ('{"\x7f":1}', "Field name \\x7f has invalid character '\\x7f'"),
        (f'{{"{"a" * 1025}":1}}', "Field name is too long (1025 > maximum 1024)."),
        (f"[{'1,' * 8192}1]", "Array length is too long (8193 > maximum length 8192)."),
        (
            "{" + ",".join(f'"f{i}":1' for i in range(1025)) + "}",
            "Object has too many fields (1025 > maximum number 1024).",
        ),
        ("[" * 65 + "]" * 65, "Value is too nested (nested 65 levels deep > maximum nesting 64)"),
        ('{"a":' * 65 + "1" + "}" * 65, "Value is too nested (nested 65 levels deep"),
        (
            '["' + "a" * 2**24 + '","' + "b" * 2**24 + '"]',
            "Value is too large (32.00 MiB > maximum size 32 MiB).",
        ),
    ],
)
def test_decode_refuses_what_breaks_a_rule(text, message):
    with pytest.raises(InvalidValue) as refused:
        codec.decode(text)
    assert str(refused.value).startswith(message)


def test_a_tag_at_the_deepest_level_is_no_level():
    value: object = Int64(1)
    for _ in range(64):
        value = [value]
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize(
    ("format", "text"),
    [
        (
            "json",
            '{"b":"aGk=","f":[1.0,0.0,-0.0,"NaN","Infinity","-Infinity"],"i":"-3","s":"ä"}',
        ),
        (
            "export_json",
            '{"b":{"$bytes":"aGk="},"f":[1.0,0.0,-0.0,{"$float":"AAAAAAAA+H8="},'
            '{"$float":"AAAAAAAA8H8="},{"$float":"AAAAAAAA8P8="}],"i":-3,"s":"ä"}',
        ),
    ],
)
def test_readable_formats(format, text):
    floats = [1, 0.0, -0.0, math.nan, math.inf, -math.inf]
    value = {"i": Int64(-3), "f": floats, "b": b"hi", "s": "ä"}
    assert codec.encode_as(value, format).decode() == text


def test_format_names():
    assert codec.encode_as(Int64(1), "convex_clean_json") == codec.encode_as(Int64(1), "json")
    for name in ("convex_encoded_json", "convex_json"):
        assert codec.encode_as(Int64(1), name) == codec.encode(Int64(1))
    with pytest.raises(UnknownFormat, match=r"format param must be one of \[`json`\]. Got yaml"):
        codec.encode_as(1, "yaml")

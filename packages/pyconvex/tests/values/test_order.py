"""Keys compare as bytes exactly as values compare in Convex."""

import math
import struct
from functools import cmp_to_key

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.values import UNSET, Id, Int64, InvalidValue, codec, order

names = st.sampled_from(["", " ", "a", "aa", "b", "~"])
small = st.sampled_from(["", "a", "a\0", "a\0b", "a\x01", "a\x01b", "ab", "b", "é", "\uffff", "🦔"])
floats = st.floats() | st.sampled_from([0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 1.0])
int64s = st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300)
scalars = (
    st.none()
    | st.booleans()
    | floats
    | int64s.map(Int64)
    | small
    | st.text(max_size=4)
    | small.map(str.encode)
    | st.binary(max_size=4)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
sequences = st.lists(values | st.just(UNSET), max_size=4)

RANKS = [type(UNSET), type(None), Int64, float, bool, str, bytes, list, dict]


def compare_plain(a, b) -> int:
    return (a > b) - (a < b)


def total_order(number: float) -> tuple[int, int]:
    """IEEE 754 totalOrder: sign first, then the magnitude as an integer."""
    (bits,) = struct.unpack(">q", struct.pack(">d", number))
    return (1, bits) if bits >= 0 else (0, -(bits + 2**63))


def compare(a, b) -> int:
    """Convex's order, written down without any encoding."""
    if type(a) is not type(b):
        return compare_plain(RANKS.index(type(a)), RANKS.index(type(b)))
    if a is None or a is UNSET:
        return 0
    if isinstance(a, float):
        return compare_plain(total_order(a), total_order(b))
    if isinstance(a, str):
        return compare_plain(a.encode(), b.encode())
    if isinstance(a, list):
        return compare_sequences(a, b)
    if isinstance(a, dict):
        pairs = [[part for name in sorted(d) for part in (name, d[name])] for d in (a, b)]
        return compare_sequences(*pairs)
    return compare_plain(a, b)


def compare_sequences(a, b) -> int:
    for left, right in zip(a, b, strict=False):
        found = compare(left, right)
        if found:
            return found
    return compare_plain(len(a), len(b))


@given(values | st.just(UNSET), values | st.just(UNSET))
def test_keys_compare_as_values_do(a, b):
    assert compare_plain(order.encode_key([a]), order.encode_key([b])) == compare(a, b)


@given(sequences, sequences)
def test_keys_of_sequences_compare_as_sequences_do(a, b):
    expected = compare_sequences(a, b)
    assert compare_plain(order.encode_key(a), order.encode_key(b)) == expected


@given(sequences, sequences)
def test_a_prefix_of_values_is_a_prefix_of_bytes_and_nothing_else_is(a, b):
    assert order.encode_key(a + b).startswith(order.encode_key(a))
    starts_alike = len(a) <= len(b) and compare_sequences(a, b[: len(a)]) == 0
    assert order.encode_key(b).startswith(order.encode_key(a)) == starts_alike


@given(sequences, sequences, sequences)
def test_the_successor_bounds_exactly_what_starts_with_a_prefix(prefix, rest, other):
    low = order.encode_key(prefix)
    high = order.successor(low)
    assert low <= order.encode_key(prefix + rest)
    if high is None:
        assert low == b""
        return
    assert order.encode_key(prefix + rest) < high
    key = order.encode_key(other)
    assert (low <= key < high) == key.startswith(low)


# Where the encoding is delicate: bytes that look like its own marks, and names that are empty.
awkward_text = st.text("\x00\x01\x02a", max_size=3)
awkward_objects = st.dictionaries(st.sampled_from(["", "a"]), st.just({}) | st.none(), max_size=2)
awkward = st.lists(
    awkward_text
    | awkward_text.map(str.encode)
    | st.lists(awkward_text, max_size=2)
    | awkward_objects,
    max_size=3,
)


@settings(max_examples=500)
@given(awkward, awkward)
def test_awkward_keys_compare_and_begin_as_values_do(a, b):
    left, right = order.encode_key(a), order.encode_key(b)
    assert compare_plain(left, right) == compare_sequences(a, b)
    starts_alike = len(a) <= len(b) and compare_sequences(a, b[: len(a)]) == 0
    assert right.startswith(left) == starts_alike


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_successor_of_any_bytes(prefix, key):
    high = order.successor(prefix)
    inside = key >= prefix and (high is None or key < high)
    assert inside == key.startswith(prefix)


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_equal_keys_are_equal_values(a, b):
    assert (order.encode_key(a) == order.encode_key(b)) == (codec.encode(a) == codec.encode(b))


def test_the_whole_order():
    ordered = [
        UNSET,
        None,
        Int64(-(2**63)),
        Int64(-1),
        Int64(0),
        Int64(2**63 - 1),
        -math.nan,
        -math.inf,
        -1.0,
        -5e-324,
        -0.0,
        0.0,
        5e-324,
        1.0,
        math.inf,
        math.nan,
        False,
        True,
        "",
        "a",
        "a\0",
        "b",
        b"",
        b"\x00",
        b"\xff",
        [],
        [None],
        [None, None],
        ["a"],
        {},
        {"": 1.0},
        {"a": 1.0},
        {"a": 1.0, "b": 1.0},
        {"a": 2.0},
        {"b": 0.0},
    ]
    assert sorted(ordered, key=lambda value: order.encode_key([value])) == ordered
    assert sorted(ordered, key=cmp_to_key(compare)) == ordered


def test_what_stands_for_a_value_has_its_key():
    assert order.encode_key([3]) == order.encode_key([3.0])
    assert order.encode_key([(1, bytearray(b"x"))]) == order.encode_key([[1.0, b"x"]])
    assert order.encode_key([Id("a"), memoryview(b"x")]) == order.encode_key(["a", b"x"])
    assert order.encode_key([{"a": UNSET}]) == order.encode_key([{}])


@pytest.mark.parametrize("value", [{1, 2}, object(), 2**53, "\ud800"])
def test_refuses_what_is_no_value(value):
    with pytest.raises(InvalidValue):
        order.encode_key([value])


def test_keys_on_disk_are_found_after_an_upgrade():
    stored = {
        "01": UNSET,
        "03": None,
        "087fffffffffffffff": Int64(-1),
        "088000000000000005": Int64(5),
        "0d4007ffffffffffff": -1.5,
        "0d8000000000000000": 0.0,
        "0dc000000000000000": 2.0,
        "0e": False,
        "0f": True,
        "106101016200": "a\0b",
        "110101ff00": b"\x00\xff",
        "121061000dbff000000000000000": ["a", 1.0],
        "150161000300": {"a": None},
    }
    assert [order.encode_key([value]).hex() for value in stored.values()] == list(stored)
    assert order.encode_key([]) == b""
    assert order.encode_key(stored.values()).hex() == "".join(stored)

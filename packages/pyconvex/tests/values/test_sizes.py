"""Convex's measure of values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import UNSET, Int64, InvalidValue, sizes


@pytest.mark.parametrize(
    ("value", "size", "nesting"),
    [
        (None, 1, 0),
        (True, 1, 0),
        (1.0, 9, 0),
        (1, 9, 0),
        (Int64(1), 9, 0),
        ("", 2, 0),
        ("aé🦔", 9, 0),
        (b"abc", 5, 0),
        ([], 2, 1),
        ([1.0, None, ["a"]], 17, 2),
        ((1.0,), 11, 1),
        ({}, 2, 1),
        ({"a": 1.0, "bc": {"d": []}}, 22, 3),
        ({"a": UNSET}, 2, 1),
    ],
)
def test_size_and_nesting(value, size, nesting):
    assert sizes.size_of(value) == size
    assert sizes.nesting_of(value) == nesting


@given(st.recursive(st.text(max_size=3) | st.floats(), lambda x: st.lists(x, max_size=3)))
def test_a_whole_is_larger_than_its_parts(value):
    assert sizes.size_of([value]) == sizes.size_of(value) + 2
    assert sizes.nesting_of({"a": value}) == sizes.nesting_of(value) + 1


def test_what_is_no_value_has_no_size():
    with pytest.raises(InvalidValue, match="set is not a Convex type"):
        sizes.size_of({1})


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.50 KiB"),
        (2**25, "32 MiB"),
        (2**25 + 2**18, "32.25 MiB"),
        (2**41, "2048 GiB"),
    ],
)
def test_sizes_in_messages(count, text):
    assert sizes.format_size(count) == text

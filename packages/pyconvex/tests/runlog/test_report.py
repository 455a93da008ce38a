"""Metadata that a run collects."""

from __future__ import annotations

import pytest

from pyconvex.runlog.report import (
    MAX_ITEM_BYTES,
    MAX_ITEMS,
    Items,
    decode_value,
    encode_value,
)


def add(items: Items, value: object) -> None:
    items.add("shop.exposure", "shop", value, durable=False, each_caller=True)


def test_items_are_encoded_at_once() -> None:
    items = Items()
    add(items, value := {"$flag": [1, 2.5, None, b"x"]})
    value["$flag"].append("later")
    (item,) = items.items
    assert (item.kind, item.component, item.durable, item.each_caller) == (
        "shop.exposure",
        "shop",
        False,
        True,
    )
    assert decode_value(item.value) == {"$flag": [1, 2.5, None, b"x"]}


def test_what_is_no_plain_data_is_refused_where_it_is_reported() -> None:
    knot: list[object] = []
    knot.append(knot)
    for value in (object(), {"a": print}, 2**80, "\ud800", knot):
        with pytest.raises(TypeError, match="plain data"):
            add(Items(), value)


def test_beyond_the_limits_items_are_dropped_and_counted() -> None:
    items = Items()
    for number in range(MAX_ITEMS + 3):
        add(items, number)
    assert (len(items.items), items.dropped) == (MAX_ITEMS, 3)
    items = Items()
    add(items, b"x" * MAX_ITEM_BYTES)
    for _ in range(5):
        add(items, b"x" * (MAX_ITEM_BYTES - 100))
    assert (len(items.items), items.dropped) == (4, 2)


def test_packed_items_may_be_told_before_the_rest() -> None:
    heard: list[int] = []
    items = Items(lambda: heard.append(len(items.soon)))
    assert items.add_packed("a.span", "", encode_value(1), durable=True)
    assert items.add("a.b", "", 2, durable=False, each_caller=False)
    assert items.add_packed("a.span", "", encode_value(3), durable=True)
    assert heard == [1, 2]
    assert [decode_value(item.value) for item in items.take_soon()] == [1, 3]
    assert items.take_soon() == ()
    assert [decode_value(item.value) for item in items.items] == [2]


def test_what_was_told_counts_towards_the_bounds() -> None:
    items = Items(lambda: None)
    for _ in range(MAX_ITEMS):
        assert items.add_packed("a.span", "", b"\xc0", durable=True)
        items.take_soon()
    assert not items.add_packed("a.span", "", b"\xc0", durable=True)
    assert not items.add("a.b", "", None, durable=False, each_caller=False)
    assert items.dropped == 2


def test_without_anybody_to_tell_packed_items_stay_in_their_place() -> None:
    items = Items()
    items.add_packed("a.span", "", encode_value(1), durable=True)
    items.add("a.b", "", 2, durable=False, each_caller=False)
    assert [decode_value(item.value) for item in items.items] == [1, 2]

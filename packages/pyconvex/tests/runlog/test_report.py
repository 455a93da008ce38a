"""Metadata that a run collects."""

from __future__ import annotations

import pytest

from pyconvex.runlog.report import MAX_ITEM_BYTES, MAX_ITEMS, Items, decode_value


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

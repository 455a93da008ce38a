"""Properties, stamps and JSON text."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_convex.events import (
    MAX_EVENT_BYTES,
    EventError,
    event_uuid,
    iso_timestamp,
    plain,
    to_json,
)


class Plan(Enum):
    PRO = "pro"


def test_values_become_json() -> None:
    moment = datetime(2024, 6, 1, 12, tzinfo=UTC)
    made = plain(
        {
            "when": moment,
            "day": date(2024, 6, 1),
            "id": UUID(int=5),
            "plan": Plan.PRO,
            "price": Decimal("9.5"),
            "seats": 3.0,
            "tags": ("a", {"b": None}),
        },
        "properties",
    )
    assert made == {
        "when": "2024-06-01T12:00:00+00:00",
        "day": "2024-06-01",
        "id": "00000000-0000-0000-0000-000000000005",
        "plan": "pro",
        "price": 9.5,
        "seats": 3,
        "tags": ["a", {"b": None}],
    }
    assert type(made["seats"]) is int


@dataclass
class Point:
    x: int
    inner: Any = None


class Order(msgspec.Struct):
    total: Decimal


class Model:
    """As pydantic's models are read; the class itself is none."""

    def model_dump(self) -> dict[str, Any]:
        return {"day": date(2024, 6, 1)}


def test_objects_with_fields_become_objects() -> None:
    made = plain(
        {"point": Point(1, Point(2)), "order": Order(Decimal("9.5")), "model": Model(),
         "last": deque([1, 2], maxlen=2)},
        "properties",
    )  # fmt: skip
    assert made == {
        "point": {"x": 1, "inner": {"x": 2, "inner": None}},
        "order": {"total": 9.5},
        "model": {"day": "2024-06-01"},
        "last": [1, 2],
    }
    for kind in (Point, Order, Model):
        with pytest.raises(EventError, match="is of type"):
            plain({"kind": kind}, "properties")
    turning = Point(1)
    turning.inner = turning
    with pytest.raises(EventError, match="is it a cycle"):
        plain({"point": turning}, "properties")


cycle: dict[str, Any] = {}
cycle["again"] = cycle


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"a": {"b": [b"x"]}}, r"properties\['a'\]\['b'\]\[0\] is of type bytes"),
        ({"a": float("nan")}, "JSON has no such number"),
        ({1: "x"}, "property names are text"),
        (cycle, "nested deeper"),
        ([("a", 1)], "must be a dict, not list"),
    ],
)
def test_what_has_no_json_form_is_named(bad: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        plain(bad, "properties")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_json_data_survives(properties: dict[str, Any]) -> None:
    assert json.loads(to_json(plain(properties, "properties"))) == properties


@given(st.text(st.characters(codec=None), max_size=30))
def test_the_text_is_always_utf8(text: str) -> None:
    assert json.loads(to_json({"event": "e", "x": text}).encode())["event"] == "e"


def test_half_a_surrogate_pair_costs_itself_alone() -> None:
    assert json.loads(to_json({"x": "a\ud800b", "y": "é😀"})) == {"x": "a\ufffdb", "y": "é😀"}


def test_too_large_an_event_is_refused() -> None:
    with pytest.raises(EventError, match=r"event 'e' is \d+ bytes"):
        to_json({"event": "e", "x": "é" * (MAX_EVENT_BYTES // 2)})


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80))
def test_uuids_are_version_7_and_sort_by_time(now_ms: int, noise: int) -> None:
    uuid = UUID(event_uuid(now_ms, noise))
    assert uuid.version == 7
    assert uuid.variant == "specified in RFC 4122"
    assert uuid.int >> 80 == now_ms
    assert event_uuid(now_ms, noise) < event_uuid(now_ms + 1, 0) or now_ms == 2**48 - 1


@given(st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_uuids_keep_all_randomness(one: int, other: int) -> None:
    assert (event_uuid(1, one) == event_uuid(1, other)) == (one == other)


def test_timestamps_are_utc() -> None:
    there = timezone(timedelta(hours=2))
    expected = "2024-06-01T10:00:00.000Z"
    assert iso_timestamp(datetime(2024, 6, 1, 12, tzinfo=there)) == expected
    assert iso_timestamp(datetime(2024, 6, 1, 10)) == expected
    assert iso_timestamp("2024-06-01T12:00:00+02:00") == expected
    assert iso_timestamp(1_717_236_000_000.0) == expected
    with pytest.raises(EventError, match="is no time"):
        iso_timestamp("yesterday")

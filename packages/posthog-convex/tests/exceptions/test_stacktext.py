from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_convex.exceptions import About, Budget, described_by_text, kind_of
from posthog_convex.exceptions.budget import in_sample


def frames(text: str) -> list[dict[str, Any]]:
    (entry,) = described_by_text(text)
    return list(entry.get("stacktrace", {}).get("frames", []))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Uncaught Error: no", "Error", "no"),
        ("Uncaught RangeError: a: b", "RangeError", "a: b"),
        ("Uncaught (in promise) Error: no", "Error", "no"),
        ("Uncaught Error: two\nlines\n    at f (../convex/a.ts:1:1)", "Error", "two\nlines"),
        ("Uncaught ConvexError: {}", "ConvexError", "{}"),
        ("Uncaught KeyError: 'x'\n    at f (/srv/convex/a.py:3)", "KeyError", "'x'"),
        ("TypeError: no", "TypeError", "no"),
        ("Uncaught MyOwn", "MyOwn", ""),
        ("Too many reads: 1", "Error", "Too many reads: 1"),
        ("", "Error", ""),
    ],
)
def test_heads(text: str, kind: str, value: str) -> None:
    (entry,) = described_by_text(text)
    assert (entry["type"], entry["value"]) == (kind, value)


def test_frames_come_out_entry_first() -> None:
    found = frames(
        "Uncaught Error: no\n"
        "    at inner (../convex/a.ts:1:2)\n"
        "    at async Promise.all (index 0)\n"
        "    at async outer (../convex/node_modules/lib/b.js:3:4)\n"
        "    at path 'price'\n"
        "    at ../convex/c.ts:5:6\n"
        "  Called by client"
    )
    assert [
        (f["filename"], f["function"], f["lineno"], f["colno"], f["in_app"]) for f in found
    ] == [
        ("convex/c.ts", "<anonymous>", 5, 6, True),
        ("convex/node_modules/lib/b.js", "outer", 3, 4, False),
        ("convex/a.ts", "inner", 1, 2, True),
    ]
    assert {(f["platform"], f["lang"], f["resolved"]) for f in found} == {
        ("custom", "javascript", True)
    }


def test_frames_of_python_functions() -> None:
    (frame,) = frames("Uncaught ValueError: no\n    at pay (/srv/app/convex/shop.py:12)")
    assert frame["platform"] == "python"
    assert (frame["function"], frame["lineno"], frame["in_app"]) == ("pay", 12, True)


def test_without_frames_there_is_no_stacktrace() -> None:
    """Else all of them fall into one issue."""
    (entry,) = described_by_text("Your request timed out.")
    assert "stacktrace" not in entry


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    (entry,) = described_by_text(text)
    assert len(entry["value"]) <= 10_000


def test_kinds_follow_the_way_through_the_app() -> None:
    one = described_by_text("Uncaught Error: 1\n    at f (../convex/a.ts:1:2)")
    same = described_by_text("Uncaught Error: 2\n    at f (../convex/a.ts:9:9)")
    other = described_by_text("Uncaught Error: 1\n    at g (../convex/a.ts:1:2)")
    assert kind_of(one) == kind_of(same) != kind_of(other)
    assert kind_of(described_by_text("a")) != kind_of(described_by_text("b"))


def test_numbers_and_names_in_a_message_make_no_kind_of_their_own() -> None:
    def kind(text: str) -> str:
        return kind_of(described_by_text(text))

    assert kind("no order j57a2f-9 (7 tries)") == kind("no order k93c0-1 (12 tries)")
    assert kind("no order 7") != kind("no customer 7")
    assert kind("Could not find 'a:b'. There is: c") == kind("Could not find 'x'. There is: c")
    assert kind("extra field `a`.\nValue: {a: 1}") == kind("extra field `b`.\nValue: {b: 1}")
    assert kind("it can't go, isn't here") != kind("it can't stay, isn't here")


def test_a_long_message_is_looked_through_at_once() -> None:
    for text in ("a" * 10_000, "'" * 9_999, " '`\"" * 2_500, "a-" * 5_000):
        assert kind_of(described_by_text(text)) == kind_of(described_by_text(text))


def test_a_kind_has_its_own_budget_and_gets_it_back_with_time() -> None:
    budget = Budget(per_minute=2)
    uuid = "018fd3ab-c200-7000-8000-000000000005"
    asked = [("a", 0.0), ("a", 0.0), ("a", 0.0), ("b", 0.0), ("a", 29.0), ("a", 30.0), ("a", 31.0)]
    said = [budget.decide(uuid, kind, now) for kind, now in asked]
    assert said == [0, 0, None, 0, None, 2, None]
    assert budget.left_out == 3


@given(st.uuids(), st.floats(0, 1))
def test_a_larger_sample_holds_the_smaller(uuid: Any, rate: float) -> None:
    if in_sample(str(uuid), rate):
        assert in_sample(str(uuid), min(1.0, rate * 1.5 + 0.01))
    assert in_sample(str(uuid), 1.0)
    assert not in_sample(str(uuid), 0.0)


@pytest.mark.parametrize(
    ("text", "data"),
    [('{"a":1}', {"a": 1}), ("plain", "plain"), ("0", 0), ("[" * 60_000, "[" * 16_384 + "…")],
)
def test_the_data_of_an_error(text: str, data: Any) -> None:
    assert About(data=text).properties() == {"convex_error_data": data}

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webhook_requests import SECRET, as_json, as_jsonl, console, execution, signature

from posthog_convex.receive.delivery import BadBody, read_delivery
from posthog_convex.receive.signature import is_signed

EVENTS = (console(5, "line\nwith \u2028 breaks"), execution(9), console(7))


@pytest.mark.parametrize("body", [as_json(*EVENTS), as_jsonl(*EVENTS), as_jsonl(*EVENTS) + b"\n"])
def test_both_formats_bring_the_same_events(body: bytes) -> None:
    found = read_delivery(body)
    assert [json.loads(text) for text in found.texts] == list(EVENTS)
    assert found.newest_ms == 9


def test_convexs_test_is_answered_and_kept_out() -> None:
    test = {"topic": "verification", "timestamp": 3, "message": "Convex connection test"}
    assert read_delivery(as_json(test)).texts == ()


def test_a_batch_is_known_again_by_its_events() -> None:
    def led_by(at: int) -> dict[str, Any]:
        return {"topic": "verification", "timestamp": at, "message": "Convex connection test"}

    plain = read_delivery(as_jsonl(*EVENTS))
    led = [read_delivery(as_jsonl(led_by(at), *EVENTS)) for at in (10_000, 20_000)]
    assert {each.digest for each in led} == {plain.digest}
    assert [each.newest_ms for each in led] == [10_000, 20_000]
    assert read_delivery(as_jsonl(*EVENTS[::-1])).digest != plain.digest


@pytest.mark.parametrize("body", [b"", b"[]", b"\n"])
def test_nothing_is_no_fault(body: bytes) -> None:
    assert read_delivery(body).texts == ()


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[{}]", b'"text"', b"[1]", b"\xff", b'{"topic":"console"}', b"[" * 100_000),
        *(b'{"topic":"console","timestamp":1}\nnonsense', b'[{"topic":1,"timestamp":1}]'),
    ],
)
def test_what_is_no_list_of_events_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_delivery(body)


@given(st.binary())
def test_no_bytes_break_it(body: bytes) -> None:
    with suppress(BadBody):
        read_delivery(body)


def test_the_window_counts_from_the_newest_event() -> None:
    delivery = read_delivery(as_json(console(0), console(60_000)))
    assert not delivery.is_too_old(360_000, 300)
    assert delivery.is_too_old(360_001, 300)
    assert not delivery.is_too_old(10**12, 0)


BODY = as_json(console(1, "\u00fc"))


@pytest.mark.parametrize(
    ("header", "right"),
    [
        (signature(BODY), True),
        (signature(BODY).removeprefix("sha256="), True),
        (signature(BODY, "another"), False),
        (signature(BODY + b" "), False),
        ("sha256=", False),
        ("", False),
        (None, False),
        ("sha256=\u00e9", False),
    ],
)
def test_signatures(header: str | None, right: bool) -> None:
    assert is_signed(BODY, header, [SECRET]) is right


def test_while_a_secret_changes_both_are_taken() -> None:
    for secret in ("old", SECRET):
        assert is_signed(BODY, signature(BODY, secret), ["old", SECRET])


def test_unknown_fields_and_topics_are_kept() -> None:
    event: dict[str, Any] = {"topic": "from_the_future", "timestamp": 1, "new": {"a": [1]}}
    assert json.loads(read_delivery(as_json(event)).texts[0]) == event

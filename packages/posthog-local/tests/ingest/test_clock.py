"""PostHog's timestamp rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.ingest.clock import event_time, format_time, parse_time_us

_NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
_SECOND = 1_000_000


def at(**changes: Any) -> int:
    given_: dict[str, Any] = {"timestamp": None, "offset_ms": None, "sent_at_us": None}
    return event_time(now_us=_NOW, **{**given_, **changes}).us


def test_offset_wins_over_everything() -> None:
    assert at(offset_ms=1500, timestamp="2020-01-01", sent_at_us=5) == _NOW - 1_500_000


def test_a_wrong_clock_is_corrected_by_when_the_request_left() -> None:
    sent = parse_time_us("2025-06-01T12:00:10Z")
    assert at(timestamp="2025-06-01T12:00:00Z", sent_at_us=sent) == _NOW - 10 * _SECOND


def test_correction_can_be_refused() -> None:
    sent = parse_time_us("2025-06-01T12:00:10Z")
    assert at(
        timestamp="2025-06-01T12:00:00Z", sent_at_us=sent, ignore_sent_at=True
    ) == parse_time_us("2025-06-01T12:00:00Z")


def test_a_timestamp_alone_stands() -> None:
    assert at(timestamp="2025-06-01T12:00:00.123456+02:00") == 1_748_772_000_123_456


def test_without_a_readable_timestamp_it_is_the_time_of_receipt() -> None:
    assert at() == at(timestamp="yesterday") == at(timestamp="") == _NOW


def test_far_ahead_is_the_time_of_receipt() -> None:
    assert at(timestamp="2026-01-01T22:00:00Z") == _NOW + 22 * 3600 * _SECOND
    assert at(timestamp="2026-01-02T00:00:00Z") == _NOW


def test_years_out_of_range_are_the_epoch() -> None:
    assert at(offset_ms=10**18) == 0


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T03:00:00+03",
        "2026-01-01T03:00:00+03:00",
        "2026-01-01 00:00:00",
        "2026-01-01 00:00:00 UTC",
        "2026-01-01",
        "Thu, 01 Jan 2026 00:00:00 GMT",
    ],
)
def test_forms_that_senders_use(text: str) -> None:
    assert parse_time_us(text) == _NOW


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert isinstance(at(timestamp=text), int)


@given(st.integers(0, 4_000_000_000_000_000))
def test_formatting_and_parsing_are_inverse(time_us: int) -> None:
    assert parse_time_us(format_time(time_us)) == time_us

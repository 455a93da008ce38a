"""How values look: times in this machine's zone, previews without what says nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from posthog_local.ui.render import _preview, local_time, zone


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as inner:
        inner.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_times_are_the_machine_s() -> None:
    winter, summer = 1_767_225_600_000_000, 1_782_864_000_000_001
    assert local_time(winter) == "2026-01-01T01:00:00.000000+01:00"
    assert local_time(summer) == "2026-07-01T02:00:00.000001+02:00"
    assert zone() in ("CET", "CEST")


def test_the_ends_of_the_calendar_are_shown_too() -> None:
    for moment in (-62_135_596_800_000_000, 253_402_300_799_000_000):
        assert local_time(moment)[4] == "-"


def test_a_preview_leaves_out_what_is_nothing() -> None:
    properties = {"utm_source": None, "gclid": None, "$current_url": "http://shop/", "plan": "pro",
                  "$el_text": "Buy"}  # fmt: skip
    assert _preview(properties) == [
        ("$el_text", "Buy"), ("$current_url", "http://shop/"), ("plan", "pro")]  # fmt: skip

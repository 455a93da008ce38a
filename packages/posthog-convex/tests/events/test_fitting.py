"""What errors and exposures do without when they are too large."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthog_convex import events
from posthog_convex.events import EventError, Exposure, Stamp, exception_text, exposure_text

STAMP = Stamp.of("018fd3ab-c200-7000-8000-000000000005", 0)


def error(*, errors: int = 1, frames: int = 1, line: int = 10, **properties: Any) -> dict[str, Any]:
    frame = {
        "function": "f",
        "context_line": "x" * line,
        "pre_context": ["y" * line] * 5,
        "post_context": [],
    }
    stack = {"type": "raw", "frames": [frame | {"lineno": n} for n in range(frames)]}
    entries = [{"type": "E", "value": str(n), "stacktrace": stack} for n in range(errors)]
    return events.exception(entries, distinct_id="u", stamp=STAMP, properties=properties)


def fitted(event: dict[str, Any]) -> list[dict[str, Any]]:
    text = exception_text(event)
    assert len(text) <= events.MAX_EVENT_BYTES
    found: list[dict[str, Any]] = json.loads(text)["properties"]["$exception_list"]
    return found


def test_what_fits_is_left_as_it_is() -> None:
    event = error(errors=3, frames=50)
    assert exception_text(event) == events.to_json(event)
    no_frames = events.exception([{"type": "E"}], distinct_id=None, stamp=STAMP)
    assert exception_text(no_frames) == events.to_json(no_frames)


def test_source_lines_around_go_first_then_outer_frames_then_further_errors() -> None:
    found = fitted(error(errors=3, frames=100, line=900))
    assert "pre_context" not in found[0]["stacktrace"]["frames"][0]
    assert len(found[0]["stacktrace"]["frames"]) == 100
    found = fitted(error(errors=30, frames=100, line=1000))
    assert [frame["lineno"] for frame in found[0]["stacktrace"]["frames"]] == [*range(80, 100)]
    assert len(found) == 30
    found = fitted(error(errors=60, frames=100, line=2000))
    assert [entry["value"] for entry in found] == ["0", "1", "2", "3", "4"]


def test_what_the_app_adds_is_never_cut() -> None:
    with pytest.raises(EventError, match="bytes"):
        exception_text(error(huge="z" * 1_000_000))


def test_an_exposure_can_do_without_its_payload() -> None:
    exposure = Exposure(distinct_id="u", flag="beta", value=True)
    small = events.flag_called(exposure, now_ms=0.0, locally=True, payload={"a": 1})
    assert exposure_text(small) == events.to_json(small)
    large = events.flag_called(exposure, now_ms=0.0, locally=True, payload="p" * 1_000_000)
    properties = json.loads(exposure_text(large))["properties"]
    assert "$feature_flag_payload" not in properties
    assert properties["$feature_flag_response"] is True

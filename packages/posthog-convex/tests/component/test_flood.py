"""A flood of errors costs a bounded number of events, and how many were left out is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from posthog.bucketed_rate_limiter import BucketedRateLimiter
from posthog.exception_capture import ExceptionCapture

from posthog_convex import events
from posthog_convex.component import flood, reported
from posthog_convex.component.report_lane import ReportLane
from posthog_convex.component.settings import DEFAULT_ERRORS_PER_MINUTE
from posthog_convex.events import Stamp
from pyconvex.runlog import ExceptionReport, Frame, RunRecord
from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.exceptions import error_id

ENV = {"POSTHOG_PROJECT_TOKEN": "phc_t"}
LIMIT = "POSTHOG_EXCEPTION_AUTOCAPTURE_PER_MINUTE"
LEFT_OUT = "convex_errors_left_out"
BEGAN_MS = 1_717_243_200_000.0
FRAME = Frame("/app/convex/shop.py", "buy", 7, True, "shop")
_numbers = count(1)


class Lane(ReportLane):
    """The lane, and what it logged."""

    def __init__(self) -> None:
        super().__init__()
        self.component = "posthog"
        self.lines: list[tuple[str, str]] = []
        self.log = lambda level, text: self.lines.append((level, text))


def uncaught(
    at_s: float,
    type: str = "ValueError",
    path: str = "shop:buy",
    message: str = "bad",
    frames: Sequence[Frame] = (FRAME,),
) -> RunEntry:
    id_ = error_id(f"e{next(_numbers)}")
    error = ExceptionReport(id=id_, type=type, message=message, frames=tuple(frames))
    return RunEntry(kind="exception", id=id_, component="", value=error, run=run(at_s, path))


def hooked(at_s: float, *, by_hand: bool = False) -> RunEntry:
    id_ = error_id(f"h{next(_numbers)}")
    entries = [{"type": "ValueError", "stacktrace": {"frames": [{"in_app": True}]}}]
    event = events.exception(entries, distinct_id=None, stamp=Stamp.of(id_, 0))
    value = {
        "mount": "posthog",
        "error": id_,
        "event": events.to_json(event),
        "uncaught": not by_hand,
    }
    return RunEntry(kind=reported.EXCEPTION, id=id_, component="", value=value, run=run(at_s))


def run(at_s: float, path: str = "shop:buy") -> RunRecord:
    at_ms = BEGAN_MS + at_s * 1000
    return RunRecord(
        ts_ms=at_ms,
        began_ms=at_ms,
        request_id="r1",
        execution_id="e1",
        kind="mutation",
        path=path,
        error="bad",
    )


def sent(
    lane: ReportLane, entries: Sequence[RunEntry], env: Mapping[str, str] = ENV
) -> Iterator[dict[str, Any]]:
    """What leaves, in batches as the host cuts them."""
    admitted = [each for each in entries if lane.admit(each)]
    for first in range(0, len(admitted), 100):
        request = lane.encode(admitted[first : first + 100], env)
        if request is not None:
            yield from json.loads(gzip.decompress(request.body))["batch"]


def left_out(event: Mapping[str, Any]) -> int:
    number: int = event["properties"].get(LEFT_OUT, 0)
    return number


@pytest.mark.parametrize("make", [uncaught, hooked])
def test_ten_thousand_of_one_kind_in_a_minute_are_a_hundred_events(make: Any) -> None:
    lane = Lane()
    found = list(sent(lane, [make(n * 60 / 10_000) for n in range(10_000)]))
    assert flood.AT_ONCE <= len(found) <= flood.AT_ONCE + DEFAULT_ERRORS_PER_MINUTE
    missing = 10_000 - len(found) - sum(map(left_out, found))
    (later,) = sent(lane, [make(120)])
    assert left_out(later) == missing
    assert len({event["uuid"] for event in found}) == len(found)


def test_the_numbers_are_those_of_posthogs_python_sdk() -> None:
    assert flood.AT_ONCE == ExceptionCapture.DEFAULT_BUCKET_SIZE
    per_minute = ExceptionCapture.DEFAULT_REFILL_RATE * 60
    assert per_minute / ExceptionCapture.DEFAULT_REFILL_INTERVAL_SECONDS == (
        DEFAULT_ERRORS_PER_MINUTE
    )
    # Theirs holds back the one that empties the bucket already; ours sends it.
    limiter = BucketedRateLimiter(bucket_size=50, refill_rate=10, refill_interval_seconds=10)
    theirs = sum(not limiter.consume_rate_limit("ValueError") for _ in range(200))
    assert theirs == len(list(sent(Lane(), [uncaught(0) for _ in range(200)]))) - 1


def test_other_types_and_other_functions_are_not_held_back() -> None:
    lane = Lane()
    flooded = [uncaught(0) for _ in range(1_000)]
    others = [uncaught(0, type="KeyError"), uncaught(0, path="shop:sell")]
    found = list(sent(lane, [*flooded, *others]))
    assert len(found) == flood.AT_ONCE + len(others)


def test_calls_of_what_is_not_there_are_one_kind_whatever_their_names() -> None:
    entries = [
        uncaught(0, "FunctionCallError", f"no:f{n}", f"no f{n}", frames=()) for n in range(1_000)
    ]
    assert len(list(sent(Lane(), entries))) == flood.AT_ONCE


def test_what_was_reported_by_hand_is_always_sent() -> None:
    entries = [hooked(0, by_hand=True) for _ in range(200)]
    assert len(list(sent(Lane(), entries))) == 200


def test_the_log_tells_within_a_tenth_also_if_none_comes_any_more() -> None:
    lane = Lane()
    list(sent(lane, [uncaught(0) for _ in range(flood.AT_ONCE + 250)]))
    assert [(level, text.split(" not sent")[0]) for level, text in lane.lines] == [
        ("warn", "1 error (ValueError in shop:buy)"),
        ("warn", "10 errors (ValueError in shop:buy)"),
        ("warn", "100 errors (ValueError in shop:buy)"),
    ]
    assert LIMIT in lane.lines[0][1]


def test_a_second_attempt_carries_the_same() -> None:
    lane = Lane()
    entries = [uncaught(0) for _ in range(80)]
    assert all(map(lane.admit, entries))
    whole = lane.encode(entries, ENV)
    assert lane.encode(entries, ENV) == whole
    # As after an answer that it was too much at once.
    halves = [lane.encode(half, ENV) for half in (entries[:40], entries[40:])]
    found = [
        event
        for half in halves
        if half is not None
        for event in json.loads(gzip.decompress(half.body))["batch"]
    ]
    assert whole is not None
    assert found == json.loads(gzip.decompress(whole.body))["batch"]


@pytest.mark.parametrize(
    ("setting", "expected"), [("unlimited", 500), ("5", 5), ("200", 50), ("", 50)]
)
def test_the_setting_says_how_many(setting: str, expected: int) -> None:
    entries = [uncaught(0) for _ in range(500)]
    assert len(list(sent(Lane(), entries, {**ENV, LIMIT: setting}))) == expected


def test_a_setting_that_is_no_number_is_complained_about_once() -> None:
    lane = Lane()
    entries = [uncaught(0) for _ in range(20)]
    assert len(list(sent(lane, entries, {**ENV, LIMIT: "many"}))) == 20
    ((level, text),) = lane.lines
    assert level == "warn"
    assert "'many'" in text
    assert "unlimited" in text

"""Capture v1: a verdict for each event, a refusal for a broken envelope."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.capture_v1 import V1Intake, V1Receipt, read_sdk, read_v1

_NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
_TIME = "2026-01-01T00:00:00Z"


def event(**changes: Any) -> dict[str, Any]:
    return {
        "event": "e",
        "uuid": str(uuid4()),
        "distinct_id": "u",
        "timestamp": _TIME,
        "options": {},
        "properties": {},
        **changes,
    }


def read(*events: Any, **envelope: Any) -> V1Intake:
    receipt = V1Receipt(now_us=_NOW, sent_at_us=_NOW - 5_000_000, sdk=("posthog-x", "1.2"))
    return read_v1({"created_at": _TIME, "batch": list(events), **envelope}, receipt)


def test_an_event_is_folded_into_its_properties() -> None:
    options = {"process_person_profile": False, "disable_skew_correction": True}
    taken = read(event(session_id="s", window_id="w", options=options, properties={"n": 1}))
    assert taken.events[0].properties == {
        "n": 1,
        "$lib": "posthog-x",
        "$lib_version": "1.2",
        "$session_id": "s",
        "$window_id": "w",
        "$ignore_sent_at": True,
        "$process_person_profile": False,
    }
    assert taken.events[0].timestamp_us == _NOW
    assert [one.result for one in taken.verdicts.values()] == ["ok"]


def test_the_sender_s_clock_is_corrected() -> None:
    assert read(event()).events[0].timestamp_us == _NOW + 5_000_000


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        ({"event": ""}, "missing_event_name"),
        ({"event": None}, "missing_event_name"),
        ({"event": "x" * 201}, "event_name_too_long"),
        ({"event": "$performance_event"}, "dropped_performance_event"),
        ({"distinct_id": ""}, "missing_distinct_id"),
        ({"distinct_id": 5}, "missing_distinct_id"),
        ({"distinct_id": "x" * 201}, "distinct_id_too_large"),
        ({"timestamp": "2026-01-01"}, "invalid_event_timestamp"),
        ({"timestamp": None}, "invalid_event_timestamp"),
        ({"properties": []}, "malformed_event_properties"),
        ({"options": {"cookieless_mode": "yes"}}, "invalid_options"),
    ],
)
def test_a_bad_event_is_dropped_alone(changes: dict[str, Any], details: str) -> None:
    good, bad = event(), event(**changes)
    taken = read(good, bad)
    assert [one.uuid for one in taken.events] == [good["uuid"]]
    assert taken.verdicts[bad["uuid"]].result == "drop"
    assert taken.verdicts[bad["uuid"]].details == details


@pytest.mark.parametrize("distinct_id", ["null", "System", "0", "anonymous"])
def test_nobody_s_id_is_personless_with_a_warning(distinct_id: str) -> None:
    taken = read(event(distinct_id=distinct_id))
    assert taken.events[0].properties["$process_person_profile"] is False
    assert [one.details for one in taken.verdicts.values()] == ["person_processing_disabled"]


def test_broken_envelopes_are_refused() -> None:
    one = event()
    broken: list[tuple[list[Any], dict[str, Any]]] = [
        ([], {}),
        ([one], {"created_at": "yesterday"}),
        ([one, one], {}),
        ([event(uuid="x")], {}),
        ([event(uuid=None)], {}),
        ([1], {}),
        ([], {"batch": {}}),
    ]
    for events, envelope in broken:
        with pytest.raises(Refusal):
            read(*events, **envelope)


def test_the_sdk_is_named() -> None:
    assert read_sdk("posthog-python/7.42.0") == ("posthog-python", "7.42.0")
    with pytest.raises(Refusal):
        read_sdk("python")


_JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.none())


@given(st.dictionaries(st.sampled_from(list(event())), _JSON | st.dictionaries(st.text(), _JSON)))
def test_any_event_gets_a_verdict_or_the_envelope_a_refusal(changes: dict[str, Any]) -> None:
    try:
        taken = read(event(), event(**changes))
    except Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017  # not raising is right as well
    else:
        kept = {one.uuid for one in taken.events}
        verdicts = taken.verdicts
        assert kept == {uuid for uuid, one in verdicts.items() if one.result != "drop"}

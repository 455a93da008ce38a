"""Which events a decoded body holds, field by field."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.ingest.event import Intake
from posthog_local.ingest.shapes import Receipt, read_events

_NOW = 1_767_225_600_000_000


def read(document: object, *, engage: bool = False, **query: str) -> Intake:
    numbers = itertools.count(1)
    receipt = Receipt(
        now_us=_NOW,
        query=query,
        new_uuid=lambda: f"00000000-0000-7000-8000-{next(numbers):012d}",
        engage=engage,
    )
    return read_events(document, receipt)


def refused(document: object) -> int:
    with pytest.raises(Refusal) as refusal:
        read(document)
    return refusal.value.status


def event(**fields: Any) -> dict[str, Any]:
    return {"event": "e", "distinct_id": "u", "api_key": "phc_a", **fields}


def test_batch_single_and_array_are_the_same() -> None:
    one = event()
    bare = {"event": "e", "distinct_id": "u"}
    shapes: list[object] = [
        one,
        [one],
        {"batch": [bare], "api_key": "phc_a"},
        {"batch": [bare], "token": "phc_a"},
        [{"event": "e", "properties": {"token": "phc_a", "distinct_id": "u"}}],
        {"$token": "phc_a", "event": "e", "$distinct_id": "u"},
    ]
    for shape in shapes:
        intake = read(shape)
        assert intake.token == "phc_a"
        assert [(one.event, one.distinct_id) for one in intake.events] == [("e", "u")]


def test_ids_that_are_no_text_become_text() -> None:
    assert read(event(distinct_id=12)).events[0].distinct_id == "12"
    assert read(event(distinct_id="x" * 300)).events[0].distinct_id == "x" * 200
    assert read(event(distinct_id="a\0b")).events[0].distinct_id == "a\ufffdb"


def test_uuids_are_kept_or_made() -> None:
    own = "01890A5D-AC96-774B-BCCE-B302099A8057"
    assert read(event(uuid=own)).events[0].uuid == own.lower()
    assert read(event(uuid="")).events[0].uuid.endswith("000000000001")
    assert refused(event(uuid="nonsense")) == 400


def test_person_fields_move_into_properties_and_the_outer_wins() -> None:
    properties = (
        read(
            event(
                **{
                    "$set": {"a": 1},
                    "$set_once": {"b": 1},
                    "properties": {"$set": {"a": 0, "c": 0}, "d": 1},
                }
            )
        )
        .events[0]
        .properties
    )
    assert properties == {"$set": {"a": 1, "c": 0}, "$set_once": {"b": 1}, "d": 1}


def test_the_name_is_required_except_on_engage() -> None:
    nameless = {"distinct_id": "u", "api_key": "phc_a", "$set": {"a": 1}}
    assert refused(nameless) == 400
    assert read(nameless, engage=True).events[0].event == "$identify"


def test_sent_at_comes_from_the_body_or_the_query() -> None:
    late = event(timestamp="2026-01-01T00:00:00Z", sent_at="2026-01-01T00:00:05Z")
    assert read(late).events[0].timestamp_us == _NOW - 5_000_000
    plain = event(timestamp="2026-01-01T00:00:00Z")
    assert read(plain, _="1767225605000").events[0].timestamp_us == _NOW - 5_000_000
    assert read(plain, _="5").events[0].timestamp_us == _NOW


def test_performance_events_are_dropped() -> None:
    intake = read([event(), event(event="$performance_event")])
    assert len(intake.events) == 1
    assert [note.kind for note in intake.notes] == ["performance_event_dropped"]


@pytest.mark.parametrize(
    "token", ["", "  ", None, 5, "phx_personal", "x" * 65, "phc_é", "phc_\0", {"a": 1}]
)
def test_invalid_tokens_are_401(token: object) -> None:
    assert refused({"event": "e", "distinct_id": "u", "api_key": token}) == 401


def test_two_tokens_in_one_request_are_401() -> None:
    assert refused([event(), event(api_key="phc_b")]) == 401


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"batch": [], "api_key": "phc_a"},
        {"batch": {}, "api_key": "phc_a"},
        {"batch": [1], "api_key": "phc_a"},
        "text",
        None,
        [event(), 1],
        event(distinct_id=None),
        event(distinct_id=""),
        event(properties=[]),
        event(timestamp=5),
        event(offset="5"),
        event(event=["e"]),
        event(event={}),
    ],
)
def test_malformed_documents_are_400(document: object) -> None:
    assert refused(document) == 400


_FIELDS = st.sampled_from(
    [
        "event",
        "distinct_id",
        "api_key",
        "token",
        "properties",
        "timestamp",
        "uuid",
        "offset",
        "batch",
        "sent_at",
        "$set",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_FIELDS, inner, max_size=2),
    max_leaves=4,
)


_EVENT = st.dictionaries(_FIELDS, _JSON).map(lambda changes: event(**changes))


@given(_EVENT | st.lists(_EVENT, max_size=3) | _JSON)
@settings(max_examples=400, deadline=None)
def test_any_json_is_events_or_a_documented_refusal(document: object) -> None:
    try:
        intake = read(document)
    except Refusal as refusal:
        assert refusal.status in (400, 401)  # noqa: PT017  # not raising is right as well
    else:
        assert all(0 < len(one.distinct_id) <= 200 for one in intake.events)

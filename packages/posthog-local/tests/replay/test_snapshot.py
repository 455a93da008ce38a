"""Recordings: requests become pieces, compressed parts are unpacked, sessions are gathered."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.replay.snapshot import read_piece, unpack
from posthog_local.testing import PostHogLocal


def packed(value: object) -> str:
    return gzip.compress(json.dumps(value).encode()).decode("latin-1")


def snapshot(*items: Any, **properties: Any) -> dict[str, Any]:
    return {
        "event": "$snapshot",
        "properties": {
            "token": "phc_a",
            "distinct_id": "u",
            "$session_id": "s-1",
            "$snapshot_data": list(items),
            **properties,
        },
    }


_META = {"type": 4, "timestamp": 1000, "data": {"href": "http://shop/", "width": 1, "height": 1}}
_CLICK = {"type": 3, "timestamp": 3000, "data": {"source": 2, "type": 2}}
_KEY = {"type": 3, "timestamp": 4000, "data": {"source": 5, "text": "a"}}
_ERROR = {"type": 6, "timestamp": 5000,
          "data": {"plugin": "rrweb/console@1", "payload": {"level": "error"}}}  # fmt: skip


def test_a_piece_counts_what_happened() -> None:
    piece = read_piece([snapshot(_META, _CLICK), snapshot(_KEY, _ERROR)], 7)
    assert piece.received_us == 7
    assert (piece.session_id, piece.window_id, piece.distinct_id) == ("s-1", "s-1", "u")
    assert (piece.first_ms, piece.last_ms, len(piece.items)) == (1000, 5000, 4)
    assert (piece.clicks, piece.keypresses, piece.console_errors) == (1, 1, 1)
    assert (piece.start_url, piece.source) == ("http://shop/", "web")


def test_compressed_parts_are_unpacked() -> None:
    full = {"type": 2, "cv": "2024-10", "timestamp": 1, "data": packed({"node": {"id": 1}})}
    assert unpack(full)["data"] == {"node": {"id": 1}}
    mutation = {"source": 0, "texts": packed([]), "adds": packed([{"é": 1}]), "removes": [],
                "attributes": "broken"}  # fmt: skip
    data = unpack({"type": 3, "cv": "2024-10", "timestamp": 1, "data": mutation})["data"]
    assert data == {"source": 0, "texts": [], "adds": [{"é": 1}], "removes": [],
                    "attributes": "broken"}  # fmt: skip
    assert unpack({"type": 2, "data": "text"}) == {"type": 2, "data": "text"}


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ([], 400),
        ([1], 400),
        ([snapshot(_META, **{"$session_id": "no spaces"})], 400),
        ([snapshot(_META, **{"$session_id": None})], 400),
        ([snapshot(_META, **{"$snapshot_data": None})], 400),
        ([snapshot(_META, token="phx_a")], 401),
        ([snapshot(_META, distinct_id="")], 400),
    ],
)
def test_refusals(document: Any, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        read_piece(document, 7)
    assert refused.value.status == status


_ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "data", "source", "timestamp", "cv", "href", "payload"]), inner
        )
    ),
    max_leaves=10,
)


@given(_ANY, st.integers(0, 6))
def test_any_snapshot_is_taken_or_refused(data: Any, kind: int) -> None:
    item = {"type": kind, "cv": "2024-10", "timestamp": data, "data": data}
    for document in (data, [snapshot(item)], [snapshot(**{"$snapshot_data": data})]):
        try:
            read_piece(document, 7)
        except Refusal as refusal:
            assert refusal.status in (400, 401)  # noqa: PT017  # not raising is right as well


def test_a_session_is_gathered_from_its_requests_once(local: PostHogLocal) -> None:
    late, early = snapshot(_KEY, **{"$window_id": "w-2"}), snapshot(_META, _CLICK)
    for body in (late, early, early):
        packed_body = gzip.compress(json.dumps([body]).encode())
        urlopen(local.url + "/s/?compression=gzip", packed_body).close()
    [recording] = local.recordings()
    assert (recording["duration_s"], recording["clicks"], recording["keypresses"]) == (3.0, 1, 1)
    events = local.request("GET", "/_local/recordings/s-1")["events"]
    assert [one["event"]["timestamp"] for one in events] == [1000, 3000, 4000]
    assert [one["window_id"] for one in events] == ["s-1", "s-1", "w-2"]
    assert [one["kind"] for one in local.timeline("u")] == ["replay"]
    with urlopen(local.url + "/replay/s-1/events.json") as response:
        assert len(json.load(response)) == 3

"""AI events as multipart form data."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.http.refusal import Refusal
from posthog_local.testing import PostHogLocal
from posthog_local.traces.multipart import read_parts

_EVENT = {"event": "$ai_generation", "distinct_id": "ada", "timestamp": "2026-01-01T00:00:00Z"}
_Part = tuple[str, str, bytes]
_NAMED = b'Content-Disposition: form-data; name="event"'
_PIECES = [b"--edge", b"--", b"\r\n", b"\r\n\r\n", _NAMED, b"x", b"\xff"]


def form(*parts: _Part) -> bytes:
    pieces = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + body
        + b"\r\n"
        for name, kind, body in parts
    ]
    return b"".join(pieces) + b"--edge--\r\n"


def part(name: str, value: Any) -> _Part:
    return name, "application/json", json.dumps(value).encode()


def post(local: PostHogLocal, body: bytes, **headers: str) -> tuple[int, Any]:
    usual = {
        "Authorization": "Bearer phc_a",
        "Content-Type": "multipart/form-data; boundary=edge",
    }
    try:
        with urlopen(Request(local.url + "/i/v0/ai", body, {**usual, **headers})) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("packed", [False, True])
def test_an_event_with_large_parts(local: PostHogLocal, packed: bool) -> None:
    messages = [{"role": "user", "content": "soft?"}]
    body = form(
        part("event", _EVENT),
        part("event.properties", {"$ai_trace_id": "t", "$ai_model": "gpt-4o"}),
        part("event.properties.$ai_input", messages),
        ("event.properties.$ai_output_choices", "text/plain", b"yes"),
        ("event.properties.image", "image/png", b"\x89PNG\r\n\r\n"),
    )
    headers = {"Content-Encoding": "gzip"} if packed else {}
    status, answer = post(local, gzip.compress(body) if packed else body, **headers)
    assert status == 200
    assert [one["name"] for one in answer["accepted_parts"]][:2] == ["event", "event.properties"]
    assert answer["accepted_parts"][4]["length"] == 8
    event = local.wait_for_event("$ai_generation", distinct_id="ada")
    assert event["properties"]["$ai_input"] == messages
    assert event["properties"]["$ai_output_choices"] == "yes"
    assert event["properties"]["image"] == "iVBORw0KDQo="
    assert event["properties"]["$ai_model"] == "gpt-4o"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [part("event.properties", {}), part("event", _EVENT)],
        [part("event", {**_EVENT, "event": "order_placed"})],
        [part("event", {**_EVENT, "distinct_id": ""})],
        [part("event", {**_EVENT, "properties": {}}), part("event.properties", {})],
        [part("event", _EVENT), part("event.properties.a", 1), part("event.properties.a", 2)],
        [part("event", _EVENT), part("other", 1)],
        [part("event", [1])],
    ],
)
def test_forms_that_are_refused(local: PostHogLocal, parts: list[_Part]) -> None:
    assert post(local, form(*parts))[0] == 400
    assert local.events() == []


def test_limits_and_keys(local: PostHogLocal) -> None:
    big = {**_EVENT, "properties": {"long": "x" * 40_000}}
    assert post(local, form(part("event", big)))[0] == 413
    sound = form(part("event", _EVENT))
    assert post(local, sound, Authorization="Bearer phx_a")[0] == 401
    assert post(local, sound, **{"Content-Type": "application/json"})[0] == 400


@given(st.lists(st.sampled_from(_PIECES), max_size=12))
def test_any_bytes_are_parts_or_refused(pieces: list[bytes]) -> None:
    try:
        read_parts(b"".join(pieces), "multipart/form-data; boundary=edge")
    except Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017  # not raising is right as well

"""The control API, and who may use it."""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from posthog_local.testing import ControlError, EventNotSeen, PostHogLocal


def send(local: PostHogLocal, *events: dict[str, Any]) -> None:
    batch = [{"distinct_id": "u", **event} for event in events]
    ask(local, "POST", "/batch/", {"api_key": "phc_a", "batch": batch})


def ask(local: PostHogLocal, method: str, path: str, body: Any = None, **headers: str) -> int:
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=15)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), named)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_events_are_listed_filtered_and_paged(local: PostHogLocal) -> None:
    send(local, {"event": "a"}, {"event": "b"}, {"event": "a", "distinct_id": "v"})
    assert [one["event"] for one in local.events()] == ["a", "b", "a"]
    assert len(local.events("a", "v")) == 1
    page = local.request("GET", "/_local/events?limit=2")
    rest = local.request("GET", f"/_local/events?after={page['events'][-1]['seq']}")
    assert [one["event"] for one in rest["events"]] == ["a"]
    assert rest["last_seq"] == rest["events"][0]["seq"]


def test_a_long_poll_ends_when_the_event_comes(local: PostHogLocal) -> None:
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: found.append(local.wait_for_event("late")))
    waiting.start()
    send(local, {"event": "early"})
    send(local, {"event": "late"})
    waiting.join(60)
    assert [one["event"] for one in found] == ["late"]


def test_an_event_that_stays_away_is_explained(local: PostHogLocal) -> None:
    send(local, {"event": "other"})
    with pytest.raises(EventNotSeen, match=r"'late' of 'u' expected .* stored: other of 'u'"):
        local.wait_for_event("late", distinct_id="u", timeout=0.05)


def test_the_timeline_spans_every_id_of_a_person(local: PostHogLocal) -> None:
    send(
        local,
        {"event": "seen", "distinct_id": "anon", "properties": {"$lib": "web"}},
        {"event": "$identify", "properties": {"$anon_distinct_id": "anon", "$set": {"p": 1}}},
    )
    timeline = local.timeline("anon")
    assert [(one["kind"], one["event"], one["source"]) for one in timeline] == [
        ("event", "seen", "web"),
        ("event", "$identify", None),
    ]
    person = local.person("u")
    assert person is not None
    assert (person["distinct_ids"], person["properties"]) == (["anon", "u"], {"p": 1})
    assert local.person("nobody") is None


def test_warnings_say_what_production_would_swallow(local: PostHogLocal) -> None:
    send(local, {"event": "$identify", "properties": {"$anon_distinct_id": "null"}})
    warning = local.warnings()[0]
    assert warning["kind"] == "cannot_merge_with_illegal_distinct_id"
    assert warning["details"] == {"other": "null", "distinct_id": "u"}


def test_flags_come_and_go(local: PostHogLocal) -> None:
    assert local.set_flag("a/b c", rollout=5)["filters"]["groups"][0]["rollout_percentage"] == 5
    assert local.request("GET", "/_local/flags/a%2Fb%20c")["key"] == "a/b c"
    local.set_flags([{"key": "x"}, {"key": "y", "active": False}])
    assert [flag["key"] for flag in local.flags()] == ["x", "y"]
    assert local.delete_flag("x")
    assert not local.delete_flag("x")
    with pytest.raises(ControlError, match="404"):
        local.request("GET", "/_local/flags/x")


def test_reset_keeps_what_is_asked(local: PostHogLocal) -> None:
    send(local, {"event": "a"})
    local.set_flag("f")
    local.add_fault("/batch", status=500)
    local.reset(keep_flags=True)
    assert (local.events(), len(local.flags()), local.faults()) == ([], 1, [])
    local.reset()
    assert local.flags() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/_local/events?limit=x", None),
        ("GET", "/_local/events?wait=9999", None),
        ("GET", "/_local/events?limit=nan", None),
        ("GET", "/_local/events?uuid=x", None),
        ("GET", "/_local/timeline", None),
        ("PUT", "/_local/flags/f", {"key": "g"}),
        ("PUT", "/_local/flags/f", {"variants": {"a": 10}}),
        ("PUT", "/_local/flags/f", {"filters": {"groups": [{"properties": 5}]}}),
        ("PUT", "/_local/flags/f", [1]),
        ("PUT", "/_local/flags", {"flags": [], "cohorts": {"x": {}}}),
        ("POST", "/_local/faults", {"route": "/batch"}),
        ("POST", "/_local/faults", {"route": "batch", "status": 500}),
        ("POST", "/_local/faults", {"route": "/batch", "status": 50}),
        ("POST", "/_local/faults", {"route": "/batch", "status": 500, "times": 0}),
    ],
)
def test_nonsense_is_400(local: PostHogLocal, method: str, path: str, body: Any) -> None:
    assert ask(local, method, path, body) == 400


def test_a_foreign_host_name_reads_nothing(local: PostHogLocal) -> None:
    for path in ("/_local/events", "/activity", "/settings"):
        assert ask(local, "GET", path, host="rebound.example") == 403
        assert ask(local, "GET", path, host="localhost:99") == 200


def test_a_page_of_another_site_controls_nothing(local: PostHogLocal) -> None:
    assert ask(local, "POST", "/_local/reset", origin="http://evil.example") == 403
    assert ask(local, "POST", "/_local/reset", origin="null") == 403
    assert ask(local, "POST", "/_local/reset", origin=local.url) == 200

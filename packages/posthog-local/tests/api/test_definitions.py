"""Definitions through PostHog's API: what has come, by name and type."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from client import project, send

from posthog_local.testing import PostHogLocal


def ask(local: PostHogLocal, path: str, **query: str) -> list[dict[str, Any]]:
    status, answer = project(local, "GET", f"/{path}/?{urlencode(query)}")
    assert status == 200
    assert answer["count"] >= len(answer["results"])
    return list(answer["results"])


def test_events_and_properties_that_came(local: PostHogLocal) -> None:
    send(local, {"event": "paid", "properties": {"total": 5, "plan": "pro"}},
         {"event": "paid", "properties": {"total": 6.5}},
         {"event": "seen", "properties": {"ok": True, "tags": ["a"]}})  # fmt: skip
    events = ask(local, "event_definitions")
    assert [one["name"] for one in events] == ["paid", "seen"]
    assert events[0]["last_seen_at"] is not None
    assert [one["name"] for one in ask(local, "event_definitions", search="EE")] == ["seen"]
    assert [one["name"] for one in ask(local, "event_definitions", limit="1", offset="1")] == [
        "seen"]  # fmt: skip
    types = {one["name"]: one["property_type"] for one in ask(local, "property_definitions")}
    assert types == {"total": "Numeric", "plan": "String", "ok": "Boolean", "tags": None}
    names = json.dumps(["seen"])
    of_seen = ask(local, "property_definitions", event_names=names, search="o")
    assert [(one["name"], one["is_numerical"]) for one in of_seen] == [("ok", False)]
    status, error = project(local, "GET", "/property_definitions/?event_names=seen")
    assert (status, "event_names is JSON" in error["detail"]) == (400, True)

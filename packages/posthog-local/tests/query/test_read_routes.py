"""PostHog's read API: with a key, what was collected; without, nothing."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from posthog_local.testing import PostHogLocal


def get(local: PostHogLocal, path: str, key: str | None = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {local.personal_api_key if key is None else key}"}
    try:
        with urlopen(Request(local.url + path, headers=headers)) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def stocked(local: PostHogLocal) -> PostHogLocal:
    batch = [
        {"event": "seen", "distinct_id": "anon", "timestamp": "2026-01-01T00:00:00Z"},
        {"event": "$identify", "distinct_id": "u", "timestamp": "2026-01-02T00:00:00Z",
         "properties": {"$anon_distinct_id": "anon", "$set": {"email": "a@x.io"}}},
        {"event": "other", "distinct_id": "v", "timestamp": "2026-01-03T00:00:00Z"},
    ]  # fmt: skip
    body = json.dumps({"api_key": "phc_a", "batch": batch}).encode()
    urlopen(local.url + "/batch/", body).close()
    return local


def test_who_and_where(local: PostHogLocal) -> None:
    me = get(local, "/api/users/@me/")[1]
    assert me["team"]["api_token"] == local.project_token
    assert get(local, "/api/projects/@current/")[1]["id"] == 1
    assert get(local, "/api/projects/", local.secret_key)[1]["count"] == 1


@pytest.mark.parametrize("path", ["/api/users/@me", "/api/projects/1/events", "/api/projects"])
def test_a_wrong_key_reads_nothing(stocked: PostHogLocal, path: str) -> None:
    for key in ("", "phx_wrong", stocked.project_token):
        status, error = get(stocked, path, key)
        assert (status, error["type"]) == (401, "authentication_error")


def test_persons(stocked: PostHogLocal) -> None:
    page = get(stocked, "/api/projects/@current/persons/?distinct_id=anon")[1]
    [person] = page["results"]
    assert (person["name"], person["distinct_ids"]) == ("a@x.io", ["anon", "u"])
    assert get(stocked, "/api/environments/1/persons")[1]["count"] == 2
    assert get(stocked, "/api/environments/1/persons?distinct_id=gone")[1]["results"] == []


def test_events_by_name_person_and_time(stocked: PostHogLocal) -> None:
    def names(query: str) -> list[str]:
        page = get(stocked, f"/api/projects/1/events/?{query}")[1]
        return [one["event"] for one in page["results"]]

    assert names("") == ["other", "$identify", "seen"]
    assert names("event=seen") == ["seen"]
    assert names("distinct_id=u") == ["$identify", "seen"]
    assert names("after=2026-01-01T12:00:00Z&before=2026-01-02T12:00:00Z") == ["$identify"]
    assert names("limit=1") == ["other"]


def test_nonsense_is_400(stocked: PostHogLocal) -> None:
    for query in ("limit=x", "limit=-1", "after=never"):
        assert get(stocked, f"/api/projects/1/events?{query}")[0] == 400

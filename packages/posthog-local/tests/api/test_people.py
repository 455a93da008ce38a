"""Who asks, persons, events and groups through PostHog's API; without a key, nothing."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest
from client import ask, project, send

from posthog_local.testing import PostHogLocal


def get(local: PostHogLocal, path: str, key: str | None = None) -> tuple[int, Any]:
    return ask(local, "GET", path, key=key)


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
    assert get(local, "/api/organizations/@current/")[1]["name"] == "PostHog Local"


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


def test_persons_are_searched(stocked: PostHogLocal) -> None:
    def names(query: str) -> list[str]:
        return [one["name"] for one in project(stocked, "GET", f"/persons/?{query}")[1]["results"]]

    assert names("email=a@x.io") == ["a@x.io"]
    assert names("search=X.IO") == ["a@x.io"]
    assert names("search=v") == ["v"]
    assert names("search=nobody") == []
    assert names("limit=1&offset=1") == ["a@x.io"]
    assert project(stocked, "GET", "/persons/?limit=1")[1]["next"]


def test_a_person_is_changed_by_events(stocked: PostHogLocal) -> None:
    [person] = project(stocked, "GET", "/persons/?distinct_id=u")[1]["results"]
    assert person["last_seen_at"] == "2026-01-02T00:00:00.000000Z"
    path = f"/persons/{person['id']}"
    assert project(stocked, "POST", f"{path}/update_property/", {"key": "n", "value": 5})[0] == 202
    assert project(stocked, "GET", path)[1]["properties"]["n"] == 5
    assert project(stocked, "POST", f"{path}/delete_property/", {"$unset": "n"})[0] == 202
    assert "n" not in project(stocked, "GET", "/persons/anon")[1]["properties"]
    assert project(stocked, "POST", f"{path}/update_property/", {"key": "n"})[0] == 400
    assert (
        project(stocked, "POST", "/persons/gone/update_property/", {"key": "n", "value": 5})[0]
        == 404
    )


@pytest.mark.parametrize("with_events", [False, True])
def test_a_person_is_deleted(stocked: PostHogLocal, with_events: bool) -> None:
    [person] = project(stocked, "GET", "/persons/?distinct_id=u")[1]["results"]
    query = "?delete_events=true" if with_events else ""
    assert project(stocked, "DELETE", f"/persons/{person['id']}/{query}")[0] == 204
    assert project(stocked, "GET", f"/persons/{person['id']}")[0] == 404
    left = [one["event"] for one in stocked.events()]
    assert left == (["other"] if with_events else ["seen", "$identify", "other"])
    send(stocked, {"event": "again"})
    assert stocked.person("u")["distinct_ids"] == ["u"]  # type: ignore[index]  # it is there
    body = {"query": {"kind": "HogQLQuery", "query": "SELECT count() FROM events"}}
    assert project(stocked, "POST", "/query", body)[1]["results"] == [[len(left) + 1]]


def test_one_event_by_its_uuid(stocked: PostHogLocal) -> None:
    [seen] = stocked.events("seen")
    assert project(stocked, "GET", f"/events/{seen['uuid']}")[1]["event"] == "seen"
    for gone in ("nonsense", "00000000-0000-4000-8000-00000000000f"):
        assert project(stocked, "GET", f"/events/{gone}")[0] == 404


def test_groups(local: PostHogLocal) -> None:
    for key in ("acme", "hogs"):
        send(local, {"event": "$groupidentify", "properties": {
            "$group_type": "company", "$group_key": key, "$group_set": {"size": 7}}})  # fmt: skip
    assert project(local, "GET", "/groups_types")[1] == [
        {"group_type": "company", "group_type_index": 0}
    ]
    listed = project(local, "GET", "/groups?group_type_index=0&limit=1")[1]
    assert (listed["count"], listed["results"][0]["group_key"]) == (2, "acme")
    found = project(local, "GET", "/groups/find?group_type_index=0&group_key=hogs")[1]
    assert found["group_properties"] == {"size": 7}
    assert project(local, "GET", "/groups/find?group_type_index=0&group_key=none")[0] == 404
    assert project(local, "GET", "/groups")[0] == 400

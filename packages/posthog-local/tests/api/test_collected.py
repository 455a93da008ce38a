"""Issues, logs and recordings through PostHog's API."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest
from client import project, send

from posthog_local.testing import PostHogLocal


def test_an_issue_is_listed_resolved_and_renamed(local: PostHogLocal) -> None:
    for kind in ("TypeError", "ValueError"):
        send(local, {"event": "$exception", "properties": {
            "$exception_list": [{"type": kind, "value": "bad"}]}})  # fmt: skip
    listed = project(local, "GET", "/error_tracking/issues/")[1]
    assert (listed["count"], {one["name"] for one in listed["results"]}) == (
        2,
        {"TypeError", "ValueError"},
    )
    path = f"/error_tracking/issues/{listed['results'][0]['id']}/"
    assert project(local, "GET", path)[1]["aggregations"] == {"occurrences": 1, "users": 1}
    status, changed = project(local, "PATCH", path, {"status": "resolved", "name": "No stock"})
    assert (status, changed["status"], changed["name"]) == (200, "resolved", "No stock")
    assert project(local, "GET", "/error_tracking/issues/?status=resolved")[1]["count"] == 1
    assert project(local, "PATCH", path, {"status": "gone"})[0] == 400
    assert project(local, "PATCH", "/error_tracking/issues/none", {"status": "active"})[0] == 404


def log(local: PostHogLocal, service: str, *lines: tuple[str, int]) -> None:
    name = {"key": "service.name", "value": {"stringValue": service}}
    records = [{"body": {"stringValue": text}, "severityNumber": number} for text, number in lines]
    body = {"resourceLogs": [{"resource": {"attributes": [name]},
                              "scopeLogs": [{"logRecords": records}]}]}  # fmt: skip
    urlopen(local.url + "/v1/logs?token=phc_a", json.dumps(body).encode()).close()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["late", "bad stock", "opened"]),
        ({"severityLevels": ["error"]}, ["bad stock"]),
        ({"serviceNames": ["mail"]}, ["late"]),
        ({"searchTerm": "STOCK"}, ["bad stock"]),
        ({"limit": 1, "offset": 1}, ["bad stock"]),
        ({"dateRange": {"date_from": "2999-01-01"}}, []),
        ({"dateRange": {"date_to": "2020-01-01"}}, []),
    ],
)
def test_logs_are_queried(local: PostHogLocal, query: dict[str, Any], found: list[str]) -> None:
    log(local, "shop", ("opened", 9), ("bad stock", 17))
    log(local, "mail", ("late", 9))
    status, answer = project(local, "POST", "/logs/query", {"query": query})
    assert (status, [one["body"] for one in answer["results"]]) == (200, found)
    assert answer["hasMore"] is (query.get("limit") == 1)


def test_a_log_query_without_sense_is_400(local: PostHogLocal) -> None:
    for query in ({"limit": 0}, {"limit": 10**9}, {"severityLevels": "error"}):
        assert project(local, "POST", "/logs/query", {"query": query})[0] == 400


def test_a_recording_with_its_snapshots(local: PostHogLocal) -> None:
    items = [{"type": 4, "timestamp": 1000, "data": {"href": "http://shop/"}},
             {"type": 3, "timestamp": 3500, "data": {"source": 2, "type": 2}}]  # fmt: skip
    body = {"event": "$snapshot", "properties": {
        "token": "phc_a", "distinct_id": "u", "$session_id": "s1", "$window_id": "w1",
        "$snapshot_data": items}}  # fmt: skip
    urlopen(local.url + "/s/", json.dumps(body).encode()).close()
    listed = project(local, "GET", "/session_recordings")[1]
    assert (len(listed["results"]), listed["has_next"]) == (1, False)
    one = project(local, "GET", "/session_recordings/s1/")[1]
    assert (one["recording_duration"], one["click_count"], one["start_url"]) == (
        2.5,
        1,
        "http://shop/",
    )
    [source] = project(local, "GET", "/session_recordings/s1/snapshots")[1]["sources"]
    path = f"/session_recordings/s1/snapshots?source={source['source']}&blob_key=0"
    lines = [json.loads(line) for line in project(local, "GET", path)[1].splitlines()]
    assert lines == [["w1", item] for item in items]
    assert project(local, "GET", "/session_recordings/none")[0] == 404
    assert project(local, "GET", "/session_recordings/s1/snapshots?source=x")[0] == 400

"""Formulas, paths, stickiness, lifecycle, rows of events and filters in SQL, through the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from client import project, send

from posthog_local.testing import PostHogLocal

_SEE = {"kind": "EventsNode", "event": "see"}
_PAY = {"kind": "EventsNode", "event": "pay"}
_NOON = datetime.fromisoformat("2026-01-10T12:00:00Z")
_WEEK = {"date_from": "2026-01-03", "date_to": "2026-01-10"}


def results(local: PostHogLocal, **node: Any) -> Any:
    node = {"dateRange": _WEEK, **node}
    status, answer = project(local, "POST", "/query/", {"query": node})
    assert status == 200, answer
    return answer["results"]


@pytest.fixture
def visited(local: PostHogLocal) -> PostHogLocal:
    def event(name: str, who: str, days: int, minutes: int = 0, **own: Any) -> dict[str, Any]:
        at = _NOON - timedelta(days=days) + timedelta(minutes=minutes)
        return {"event": name, "distinct_id": who, "timestamp": at.isoformat(),
                "properties": {"$set": {"email": f"{who}@x.example"}, **own}}  # fmt: skip

    send(
        local,
        *(event("see", "a", day, plan="pro") for day in (4, 3, 1)),
        *(event("see", "b", 3, minute, plan="free") for minute in (0, 5)),
        event("pay", "a", 3, 10, total=30),
    )
    return local


def test_formulas(visited: PostHogLocal) -> None:
    series = [_PAY, {**_SEE, "math": "dau"}]
    [line] = results(visited, kind="TrendsQuery", series=series,
                     trendsFilter={"formula": "A / B * 100"})  # fmt: skip
    assert line["label"] == "Formula (A / B * 100)"
    assert [one for one in line["data"] if one] == [50.0]
    nodes = [{"formula": "A", "custom_name": "Paid"}, {"formula": "B-A"}]
    found = results(visited, kind="TrendsQuery", series=series,
                    trendsFilter={"formulaNodes": nodes, "display": "BoldNumber"})  # fmt: skip
    assert [(one["label"], one["aggregated_value"]) for one in found] == [
        ("Paid", 1), ("Formula (B-A)", 1)]  # fmt: skip
    split = results(visited, kind="TrendsQuery", series=[_SEE, _SEE], compareFilter={
        "compare": True}, breakdownFilter={"breakdown": "plan"},
        trendsFilter={"formulas": ["A + B"]})  # fmt: skip
    assert [(one["breakdown_value"], one["compare_label"], one["count"]) for one in split] == [
        ("pro", "current", 6), ("free", "current", 4)]  # fmt: skip


def test_paths(visited: PostHogLocal) -> None:
    assert results(visited, kind="PathsQuery", pathsFilter={}) == [
        {"source": "1_see", "target": "2_pay", "value": 1, "average_conversion_time": 600_000.0}
    ]
    ended = {"endPoint": "pay", "stepLimit": 3, "includeEventTypes": ["custom_event"]}
    assert len(results(visited, kind="PathsQuery", pathsFilter=ended)) == 1
    none = {"startPoint": "pay", "excludeEvents": ["see"]}
    assert results(visited, kind="PathsQuery", pathsFilter=none) == []


def test_stickiness(visited: PostHogLocal) -> None:
    [line] = results(visited, kind="StickinessQuery", series=[_SEE])
    assert line["data"] == [1, 0, 1, 0, 0, 0, 0, 0]
    assert line["labels"][:2] == ["1 day", "2 days"]
    [line] = results(
        visited,
        kind="StickinessQuery",
        series=[_SEE],
        stickinessFilter={
            "computedAs": "cumulative",
            "stickinessCriteria": {"operator": "gte", "value": 1},
        },
    )
    assert line["data"][:3] == [2, 1, 1]
    [line] = results(visited, kind="StickinessQuery", series=[_SEE], stickinessFilter={
        "stickinessCriteria": {"operator": "gte", "value": 2}})  # fmt: skip
    assert line["data"][:3] == [1, 0, 0]


def test_lifecycle(visited: PostHogLocal) -> None:
    found = {one["status"]: one["data"] for one in
             results(visited, kind="LifecycleQuery", series=[_SEE])}  # fmt: skip
    assert found == {
        "new": [0, 0, 0, 1, 1, 0, 0, 0],
        "returning": [0, 0, 0, 0, 1, 0, 0, 0],
        "resurrecting": [0, 0, 0, 0, 0, 0, 1, 0],
        "dormant": [0, 0, 0, 0, 0, -2, 0, -1],
    }


def test_rows_of_events(visited: PostHogLocal) -> None:
    columns = ["*", "person", "event", "properties.plan -- Plan"]
    rows = results(visited, kind="EventsQuery", select=columns, after="all", event="pay")
    [[whole, person, event, plan]] = rows
    assert (whole["event"], whole["properties"]["total"]) == ("pay", 30)
    assert (person["distinct_id"], person["properties"]["email"]) == ("a", "a@x.example")
    assert (event, plan) == ("pay", None)
    counted = results(visited, kind="EventsQuery", select=["event", "count()"], after="2026-01-01",
                      where=["count() > 1"])  # fmt: skip
    assert counted == [["see", 5]]
    paged = project(visited, "POST", "/query/", {"query": {
        "kind": "EventsQuery", "select": ["timestamp", "person_display_name -- Person"],
        "after": "2026-01-01", "where": ["event = 'see'", "properties.plan = 'free'"], "limit": 1,
    }})[1]  # fmt: skip
    assert (len(paged["results"]), paged["hasMore"]) == (1, True)
    assert paged["results"][0][1]["display_name"] == "b@x.example"
    assert results(visited, kind="EventsQuery", select=["event"]) == []
    mine = results(visited, kind="EventsQuery", select=["distinct_id"], after="all",
                   personId=person["uuid"], events=["see", "pay"])  # fmt: skip
    assert len(mine) == 4


def test_filters_in_sql(visited: PostHogLocal) -> None:
    pays = {"type": "hogql", "key": "toFloat(properties.total) >= 30"}
    found = results(visited, kind="TrendsQuery", series=[{**_PAY, "properties": [pays]}])
    assert found[0]["count"] == 1
    mail = {"type": "hogql", "key": "person.properties.email LIKE 'b%'"}
    found = results(visited, kind="TrendsQuery", series=[_SEE], properties=[mail])
    assert found[0]["count"] == 2


def test_filters_of_a_query(visited: PostHogLocal) -> None:
    def count(sql: str, **more: Any) -> Any:
        return results(visited, kind="HogQLQuery", query=sql, **more)

    held = {"properties": [{"key": "plan", "value": "it's", "type": "event"}]}
    text = "SELECT count() FROM events WHERE event = 'see' AND {filters}"
    assert count(text) == [[5]]
    assert count(text, filters=held) == [[0]]
    day = (_NOON - timedelta(days=3)).date().isoformat()
    assert count(text, filters={"dateRange": {"date_from": day, "date_to": day}}) == [[3]]
    assert count("SELECT count() FROM events WHERE event = {variables.which}", variables={
        "1": {"variableId": "1", "code_name": "which", "value": "pay"}}) == [[1]]  # fmt: skip
    assert count("SELECT count() FROM events WHERE event IN {names}", values={
        "names": ["pay", "see"]}) == [[6]]  # fmt: skip


def test_what_is_shown_around_a_query_is_passed_over(visited: PostHogLocal) -> None:
    source = {"kind": "TrendsQuery", "series": [_PAY], "dateRange": _WEEK}
    assert results(visited, kind="InsightVizNode", source=source)[0]["count"] == 1
    source = {"kind": "HogQLQuery", "query": "SELECT 1"}
    assert results(visited, kind="DataVisualizationNode", source=source) == [[1]]


def test_a_session_and_a_group_of_an_event(local: PostHogLocal) -> None:
    url = {"$current_url": "https://a.example/in/?utm_source=ad", "utm_source": "ad",
           "$session_id": "0193-s", "$window_id": "w"}  # fmt: skip
    send(
        local,
        {"event": "$groupidentify", "properties": {"$group_type": "company",
         "$group_key": "acme", "$group_set": {"tier": "gold"}}},
        {"event": "$pageview", "properties": {**url, "$groups": {"company": "acme"}}},
        {"event": "pay", "properties": {"$session_id": "0193-s"}},
    )  # fmt: skip

    def rows(sql: str) -> Any:
        return results(local, kind="HogQLQuery", query=sql)

    assert rows("SELECT event, session.$entry_utm_source, session.$entry_pathname FROM events"
                " WHERE event != '$groupidentify' ORDER BY event") == [
        ["$pageview", "ad", "/in/"], ["pay", "ad", "/in/"]]  # fmt: skip
    assert rows("SELECT group_0.properties.tier, count() FROM events WHERE $group_0 = 'acme'"
                " AND event = '$pageview' GROUP BY 1") == [["gold", 1]]  # fmt: skip
    assert rows("SELECT $is_bounce, $pageview_count, $num_uniq_urls FROM sessions") == [
        [True, 1, 1]]  # fmt: skip
    assert rows("SELECT DISTINCT $window_id FROM events WHERE event = '$pageview'") == [["w"]]

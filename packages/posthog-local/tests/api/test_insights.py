"""Query nodes through PostHog's API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from client import project, send

from posthog_local.testing import PostHogLocal


def ask(local: PostHogLocal, **node: Any) -> tuple[int, Any]:
    return project(local, "POST", "/query/", {"query": node})


@pytest.fixture
def stocked(local: PostHogLocal) -> PostHogLocal:
    now = datetime.now(UTC)
    # What a person does on one day has to be on one day whatever the hour of the test.
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)

    def event(name: str, who: str, at: datetime, **properties: Any) -> dict[str, Any]:
        moment = at.isoformat()
        return {"event": name, "distinct_id": who, "timestamp": moment, "properties": properties}

    exception = {"$exception_list": [{"type": "ValueError", "value": "bad"}]}
    hour = timedelta(hours=1)
    send(
        local,
        *(event("see", "a", noon, plan="pro"), event("see", "a", noon + hour, plan="free")),
        *(event("pay", "a", noon + 2 * hour), event("see", "b", now - hour / 5, plan="pro")),
        event("$exception", "a", now, **exception),
    )
    return local


def test_trends(stocked: PostHogLocal) -> None:
    see = {"kind": "EventsNode", "event": "see"}
    asked_on = datetime.now(UTC).date()
    status, answer = ask(stocked, kind="TrendsQuery", series=[see, {**see, "math": "dau"}])
    days = {asked_on.isoformat(), datetime.now(UTC).date().isoformat()}
    assert status == 200
    total, persons = answer["results"]
    assert (total["label"], total["count"], persons["count"]) == ("see", 3, 2)
    # Seven days ago until now, which is the eighth day, as at PostHog.
    assert len(total["data"]) == len(total["days"]) == 8
    assert total["days"][-1] in days
    split = ask(stocked, kind="TrendsQuery", series=[see], dateRange={"date_from": "-30d"},
                breakdownFilter={"breakdown": "plan"})[1]  # fmt: skip
    assert [(one["breakdown_value"], one["count"]) for one in split["results"]] == [
        ("pro", 2), ("free", 1)]  # fmt: skip
    nothing = ask(stocked, kind="TrendsQuery", series=[{"event": "gone"}])[1]
    assert nothing["results"][0]["count"] == 0


def test_funnels(stocked: PostHogLocal) -> None:
    series = [{"event": "see"}, {"event": "pay"}]
    answer = ask(stocked, kind="FunnelsQuery", series=series)[1]
    assert [(one["name"], one["count"]) for one in answer["results"]] == [("see", 2), ("pay", 1)]
    quick = {"funnelWindowInterval": 30, "funnelWindowIntervalUnit": "minute"}
    answer = ask(stocked, kind="FunnelsQuery", series=series, funnelsFilter=quick)[1]
    assert [one["count"] for one in answer["results"]] == [2, 0]
    split = ask(stocked, kind="FunnelsQuery", series=series,
                breakdownFilter={"breakdowns": [{"property": "plan"}]})[1]  # fmt: skip
    assert [[(one["breakdown_value"], one["count"]) for one in line] for line in split["results"]
            ] == [[(["pro"], 2), (["pro"], 1)], [(["free"], 1), (["free"], 1)]]  # fmt: skip


def test_filters(stocked: PostHogLocal) -> None:
    pro = {"key": "plan", "value": ["pro"], "operator": "exact", "type": "event"}
    see = {"kind": "EventsNode", "event": "see"}

    def counts(**node: Any) -> list[int]:
        answer = ask(stocked, kind="TrendsQuery", **node)[1]
        return [one["count"] for one in answer["results"]]

    assert counts(series=[see], properties=[pro]) == [2]
    assert counts(series=[see, {**see, "properties": [pro]}]) == [3, 2]
    either = {"type": "OR", "values": [{"type": "AND", "values": [pro]},
                                       {"key": "plan", "value": "free"}]}  # fmt: skip
    assert counts(series=[see], properties=either) == [3]
    mail = {"key": "email", "type": "person", "operator": "is_set"}
    assert counts(series=[see], properties=[mail]) == [0]
    funnel = ask(stocked, kind="FunnelsQuery", series=[{**see, "properties": [pro]},
                                                      {"event": "pay"}])[1]  # fmt: skip
    assert [one["count"] for one in funnel["results"]] == [2, 1]


def test_cohorts_filter(stocked: PostHogLocal) -> None:
    made = project(stocked, "POST", "/cohorts/", {"name": "b", "groups": [],
        "filters": {"properties": {"type": "AND", "values": [
            {"key": "email", "type": "person", "operator": "is_set"}]}}})[1]  # fmt: skip
    inside = {"key": "id", "type": "cohort", "value": made["id"]}
    answer = ask(stocked, kind="TrendsQuery", series=[{"event": "see"}], properties=[inside])[1]
    assert answer["results"][0]["count"] == 0
    outside = {**inside, "operator": "not_in"}
    answer = ask(stocked, kind="TrendsQuery", series=[{"event": "see"}], properties=[outside])[1]
    assert answer["results"][0]["count"] == 3


def test_sums_and_the_time_before(stocked: PostHogLocal) -> None:
    at = "2026-01-31T23:59:59.999Z"
    send(stocked, {"event": "order", "timestamp": at, "properties": {"total": 2.5}},
         {"event": "order", "timestamp": at, "properties": {"total": 4}})  # fmt: skip
    total = {"event": "order", "math": "sum", "math_property": "total"}
    answer = ask(stocked, kind="TrendsQuery", series=[total], compareFilter={"compare": True},
                 dateRange={"date_from": "2026-01-31", "date_to": "2026-01-31"})[1]  # fmt: skip
    shown = [(one["compare_label"], one["data"]) for one in answer["results"]]
    assert shown == [("current", [6.5]), ("previous", [0])]


def test_one_number_for_the_whole_time(stocked: PostHogLocal) -> None:
    see = {"event": "see", "math": "dau"}
    answer = ask(stocked, kind="TrendsQuery", series=[see], compareFilter=None,
                 trendsFilter={"display": "BoldNumber"})[1]  # fmt: skip
    assert [one["aggregated_value"] for one in answer["results"]] == [2]


def test_retention(stocked: PostHogLocal) -> None:
    entity = {"id": "see", "type": "events"}
    asked = {"period": "Day", "totalIntervals": 4, "targetEntity": entity,
             "returningEntity": {"id": "pay"}}  # fmt: skip
    asked_on = datetime.now(UTC).date()
    rows = ask(stocked, kind="RetentionQuery", retentionFilter=asked)[1]["results"]
    assert [len(one["values"]) for one in rows] == [4, 3, 2, 1]
    assert [one["label"] for one in rows[0]["values"]][:2] == ["Day 0", "Day 1"]
    assert sum(one["values"][0]["count"] for one in rows) >= 2
    last = datetime.fromisoformat(rows[3]["date"]).date()
    assert asked_on <= last <= datetime.now(UTC).date()


def test_dates(stocked: PostHogLocal) -> None:
    def days(**dates: str) -> int:
        answer = ask(stocked, kind="TrendsQuery", series=[{}], dateRange=dates)[1]
        return len(answer["results"][0]["days"])

    assert days(date_from="-1d") == 2
    assert days(date_from="2026-01-30", date_to="2026-02-02") == 4
    assert days(date_from="-3d", date_to="-1d") == 3
    assert days(date_from="2026-01-30T12:00:00+02:00", date_to="2026-01-31T00:00:00") == 1
    assert days(date_from="-1w") == 8
    assert days(date_from="-1m") in range(29, 33)
    assert days(date_from="yStart") in range(1, 367)


def test_issues(stocked: PostHogLocal) -> None:
    answer = ask(stocked, kind="ErrorTrackingQuery", status="active")[1]
    assert [one["name"] for one in answer["results"]] == ["ValueError"]
    assert ask(stocked, kind="ErrorTrackingQuery", status="resolved")[1]["results"] == []


@pytest.mark.parametrize(
    ("node", "named"),
    [
        ({"kind": "CalendarHeatmapQuery"}, "CalendarHeatmapQuery"),
        ({"kind": "TrendsQuery", "series": [{"math": "p99"}]}, "p99"),
        ({"kind": "TrendsQuery", "series": [{}], "dateRange": {"date_from": "soon"}}, "soon"),
        ({"kind": "TrendsQuery", "series": [{}], "interval": "year"}, "year"),
        ({"kind": "TrendsQuery", "series": [{"properties": [{"value": 1}]}]}, "key"),
        ({"kind": "TrendsQuery", "series": [{"properties": [{"key": "a", "type": "group"}]}]},
         "group"),
        ({"kind": "TrendsQuery", "series": [{"properties": [
            {"key": "gone(1)", "type": "hogql"}]}]}, "the function gone"),
        ({"kind": "PathsQuery", "pathsFilter": {"includeEventTypes": ["hogql"]}}, "hogql"),
        ({"kind": "PathsQuery", "pathsFilter": {"startPoint": "a", "endPoint": "b"}}, "together"),
        ({"kind": "PathsQuery", "pathsFilter": {"stepLimit": 99}}, "stepLimit"),
        ({"kind": "PathsQuery", "pathsFilter": {"pathsHogQLExpression": "event"}},
         "pathsHogQLExpression"),
        ({"kind": "LifecycleQuery", "series": [{}, {}]}, "one series"),
        ({"kind": "StickinessQuery", "series": [{"math": "hogql"}]}, "hogql"),
        ({"kind": "EventsQuery", "select": ["*"], "actionId": 1}, "actionId"),
        ({"kind": "EventsQuery", "select": ["gone"]}, "no column 'gone'"),
        ({"kind": "EventsQuery", "select": ["*"], "limit": 0}, "limit"),
        ({"kind": "TrendsQuery", "series": [{}], "properties": {"values": []}}, "AND or OR"),
        ({"kind": "TrendsQuery", "series": [{}], "properties": [
            {"key": "a", "operator": "near"}]}, "near"),
        ({"kind": "TrendsQuery", "series": [{}], "properties": [
            {"key": "a", "operator": {"a": 1}}]}, "operator"),
        ({"kind": "TrendsQuery", "series": [{}], "dateRange": {"date_to": "9999-12-31"}}, "9999"),
        ({"kind": "TrendsQuery", "series": [{}], "trendsFilter": {"formula": "A/B"}},
         "no series B"),
        ({"kind": "TrendsQuery", "series": [{"kind": "ActionsNode"}]}, "ActionsNode"),
        ({"kind": "TrendsQuery", "series": [{}], "breakdownFilter": {
            "breakdown": "x", "breakdown_type": "hogql"}}, "breakdown"),
        ({"kind": "TrendsQuery", "series": [{}], "interval": "hour",
          "dateRange": {"date_from": "-1y"}}, "2,500 hours"),
        ({"kind": "TrendsQuery", "series": [{}], "dateRange": {
            "date_from": "2026-01-02", "date_to": "2026-01-01"}}, "not after"),
        ({"kind": "RetentionQuery", "retentionFilter": {"totalIntervals": 99}}, "totalIntervals"),
        ({"kind": "RetentionQuery", "dateRange": {"date_to": "2026-01-01"}}, "dateRange"),
        ({"kind": "TrendsQuery", "series": [{}], "aggregation_group_type_index": 0}, "group"),
        ({"kind": "RetentionQuery", "retentionFilter": {
            "retentionType": "retention_first_ever_occurrence"}}, "first_ever"),
        ({"kind": "FunnelsQuery", "series": [{}, {}],
          "funnelsFilter": {"funnelOrderType": "strict"}}, "strict"),
        ({"kind": "FunnelsQuery", "series": [{"event": "see"}]}, "steps"),
        ({"kind": "FunnelsQuery", "series": [{"event": "a"}, {"event": "b"}],
          "funnelsFilter": {"funnelWindowIntervalUnit": "year"}}, "year"),
        ({"series": []}, "kind"),
    ],
)  # fmt: skip
def test_what_is_not_here_is_refused_by_name(
    stocked: PostHogLocal, node: dict[str, Any], named: str
) -> None:
    status, error = ask(stocked, **node)
    assert status == 400
    assert named in error["detail"]

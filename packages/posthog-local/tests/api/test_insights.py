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

    def event(name: str, who: str, hours: float, **properties: Any) -> dict[str, Any]:
        at = (now - timedelta(hours=hours)).isoformat()
        return {"event": name, "distinct_id": who, "timestamp": at, "properties": properties}

    exception = {"$exception_list": [{"type": "ValueError", "value": "bad"}]}
    send(
        local,
        *(event("see", "a", 50, plan="pro"), event("see", "a", 49, plan="free")),
        *(event("see", "b", 0.2, plan="pro"), event("pay", "a", 48)),
        event("$exception", "a", 0, **exception),
    )
    return local


def test_trends(stocked: PostHogLocal) -> None:
    see = {"kind": "EventsNode", "event": "see"}
    status, answer = ask(stocked, kind="TrendsQuery", series=[see, {**see, "math": "dau"}])
    assert status == 200
    total, persons = answer["results"]
    assert (total["label"], total["count"], persons["count"]) == ("see", 3, 2)
    assert len(total["data"]) == len(total["days"]) == 7
    assert total["days"][-1] == datetime.now(UTC).date().isoformat()
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
    assert [one["count"] for one in answer["results"]] == [2, 1]


def test_issues(stocked: PostHogLocal) -> None:
    answer = ask(stocked, kind="ErrorTrackingQuery", status="active")[1]
    assert [one["name"] for one in answer["results"]] == ["ValueError"]
    assert ask(stocked, kind="ErrorTrackingQuery", status="resolved")[1]["results"] == []


@pytest.mark.parametrize(
    ("node", "named"),
    [
        ({"kind": "PathsQuery"}, "PathsQuery"),
        ({"kind": "TrendsQuery", "series": [{"math": "p99"}]}, "p99"),
        ({"kind": "TrendsQuery", "series": [{}], "dateRange": {"date_from": "soon"}}, "soon"),
        ({"kind": "TrendsQuery", "series": [{}], "interval": "year"}, "year"),
        ({"kind": "TrendsQuery", "series": [{"properties": [{"key": "a"}]}]}, "properties"),
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

"""Experiments through PostHog's API."""

from __future__ import annotations

from typing import Any

import pytest
from client import project, send

from posthog_local.testing import PostHogLocal

_PAY = {"kind": "EventsNode", "event": "pay"}
_FUNNEL = {"kind": "ExperimentMetric", "metric_type": "funnel", "series": [_PAY]}


@pytest.fixture
def flag_id(local: PostHogLocal) -> int:
    local.set_flag("beta", variants={"control": 50, "test": 50})
    local.set_flag("plain")
    events = list[dict[str, Any]]()
    for number in range(120):
        variant, who = ("control", "test")[number % 2], f"u{number}"
        events.append(
            {
                "event": "$feature_flag_called",
                "distinct_id": who,
                "timestamp": "2026-01-10T12:00:00Z",
                "properties": {"$feature_flag": "beta", "$feature_flag_response": variant},
            }
        )
        if number % 4 == 1 or number % 12 == 0:
            events.append({"event": "pay", "distinct_id": who, "properties": {"total": 2},
                           "timestamp": "2026-01-10T12:30:00Z"})  # fmt: skip
    send(local, *events)
    [experiment] = project(local, "GET", "/experiments/")[1]["results"]
    assert experiment["feature_flag_key"] == "beta"
    return int(experiment["id"])


def ask(local: PostHogLocal, flag_id: int, **metric: Any) -> tuple[int, Any]:
    node = {"kind": "ExperimentQuery", "experiment_id": flag_id, "metric": {**_FUNNEL, **metric}}
    return project(local, "POST", "/query/", {"query": node})


def test_a_funnel(local: PostHogLocal, flag_id: int) -> None:
    status, answer = ask(local, flag_id)
    assert status == 200
    assert answer["baseline"] == {
        "key": "control", "number_of_samples": 60, "sum": 10, "sum_squares": 10,
        "step_counts": [10], "validation_failures": [],
    }  # fmt: skip
    [test] = answer["variant_results"]
    assert (test["key"], test["sum"], test["method"]) == ("test", 30, "frequentist")
    assert test["significant"]
    low, high = test["confidence_interval"]
    assert low < 2.0 < high
    early = ask(local, flag_id, conversion_window=10, conversion_window_unit="minute")[1]
    assert early["baseline"]["validation_failures"] == [
        "not-enough-metric-data", "baseline-mean-is-zero"]  # fmt: skip
    assert early["variant_results"][0]["p_value"] is None


def test_a_mean(local: PostHogLocal, flag_id: int) -> None:
    source = {**_PAY, "math": "sum", "math_property": "total"}
    answer = ask(local, flag_id, metric_type="mean", source=source)[1]
    assert (answer["baseline"]["sum"], answer["baseline"]["sum_squares"]) == (20, 40)
    assert "step_counts" not in answer["baseline"]
    counted = ask(local, flag_id, metric_type="mean", source=_PAY)[1]
    assert counted["variant_results"][0]["sum"] == 30


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"metric_type": "ratio"}, "ratio"),
        ({"series": []}, "1 to 10 steps"),
        ({"metric_type": "mean"}, "a source"),
        ({"metric_type": "mean", "source": {**_PAY, "math": "sum"}}, "math_property"),
        ({"metric_type": "mean", "source": {**_PAY, "math": "dau"}}, "counted"),
        ({"conversion_window": 1, "conversion_window_unit": "year"}, "year"),
        ({"funnel_order_type": "unordered"}, "ordered"),
    ],
)
def test_what_is_not_here(
    local: PostHogLocal, flag_id: int, metric: dict[str, Any], said: str
) -> None:
    status, error = ask(local, flag_id, **metric)
    assert status == 400
    assert said in error["detail"]


def test_an_experiment_is_a_flag(local: PostHogLocal) -> None:
    status, error = ask(local, 99)
    assert (status, "no experiment 99" in error["detail"]) == (400, True)

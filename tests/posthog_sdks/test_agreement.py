"""Two official evaluators and ours give the same value for the same flag and person.

The SDKs evaluate from the definitions that PostHog Local serves; PostHog Local evaluates by itself.
Neither knows the other's code, so each tests the other. Left out is what is known to differ: the
SDKs drop a pre-release from a version, the server orders it.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest
from nodes import node_client
from posthog import Posthog

from posthog_local.testing import PostHogLocal

_IDS = [f"distinct_id_{number}" for number in range(120)]
_PEOPLE: list[dict[str, Any]] = [
    {"plan": "pro", "age": 30, "email": "Ada@Example.com", "version": "1.10.2",
     "joined": "2025-05-01T00:00:00Z"},
    {"plan": "free", "age": 7.5, "email": "bob@shop.test", "version": "2.0.0",
     "joined": "2020-01-01"},
]  # fmt: skip


def line(key: str, operator: str, value: Any) -> dict[str, Any]:
    return {"key": key, "operator": operator, "value": value, "type": "person"}


def flag(key: str, *lines: dict[str, Any], rollout: float = 100, **rest: Any) -> dict[str, Any]:
    return {"key": key, "properties": list(lines), "rollout_percentage": rollout, **rest}


def _many(key: str, *groups: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"key": key, "filters": {"groups": list(groups), **rest}}


_FLAGS = [
    flag("simple-flag", rollout=45),
    flag("multivariate-flag", rollout=55,
         variants={"first": 50, "second": 20, "third": 20, "fourth": 5, "fifth": 5}),
    flag("tenth", rollout=0.1),
    flag("none", rollout=0),
    flag("exact-list", line("plan", "exact", ["pro", "team"])),
    flag("exact-case", line("plan", "exact", "PRO")),
    flag("is-not", line("plan", "is_not", ["free"])),
    flag("contains", line("email", "icontains", "@EXAMPLE")),
    flag("not-contains", line("email", "not_icontains", "@example")),
    flag("regex", line("email", "regex", "^[a-zA-Z]+@shop")),
    flag("not-regex", line("email", "not_regex", "shop")),
    flag("older", line("age", "gt", 18)),
    flag("at-least", line("age", "gte", 7.5)),
    flag("younger", line("age", "lt", 18)),
    flag("at-most", line("age", "lte", 7)),
    flag("set", line("plan", "is_set", None)),
    flag("since", line("joined", "is_date_after", "2024-01-01")),
    flag("before", line("joined", "is_date_before", "-3y")),
    flag("two-lines", line("plan", "exact", ["pro"]), line("age", "gt", 18), rollout=60),
    flag("forced", line("plan", "exact", ["pro"]), variants={"a": 50, "b": 50}, variant="b"),
    flag("semver", line("version", "semver_gt", "1.9.0")),
    flag("tilde", line("version", "semver_tilde", "1.10.0")),
    flag("caret", line("version", "semver_caret", "1.2.3")),
    _many("or", {"properties": [line("plan", "exact", ["team"])], "rollout_percentage": 100},
          {"properties": [line("age", "gt", 18)], "rollout_percentage": 50}),
    _many("early", {"properties": [], "rollout_percentage": 20},
          {"properties": [], "rollout_percentage": 90}, early_exit=True),
    _many("in-cohort", {"properties": [{"key": "id", "value": 7, "type": "cohort",
                                        "operator": "in"}], "rollout_percentage": 100}),
    flag("inactive", active=False),
]  # fmt: skip
_COHORTS = {"7": {"type": "OR", "values": [
    {"type": "AND", "values": [line("plan", "exact", ["pro"])]},
    {"type": "AND", "values": [line("age", "lt", 5)]}]}}  # fmt: skip


@pytest.fixture
def stocked(local: PostHogLocal) -> PostHogLocal:
    local.set_flags(_FLAGS, _COHORTS)
    return local


def person(number: int) -> dict[str, Any]:
    return _PEOPLE[number % len(_PEOPLE)]


def remote(local: PostHogLocal) -> dict[str, dict[str, object]]:
    """What the server says, by distinct id."""
    answers = {}
    for number, distinct_id in enumerate(_IDS):
        body = {
            "token": "phc_a",
            "distinct_id": distinct_id,
            "person_properties": person(number),
        }
        with urlopen(local.url + "/flags/?v=2", json.dumps(body).encode()) as response:
            flags = json.load(response)["flags"]
        answers[distinct_id] = {
            key: one["variant"] if one["variant"] is not None else one["enabled"]
            for key, one in flags.items()
        }
    return answers


def test_posthog_python_agrees(stocked: PostHogLocal) -> None:
    client = Posthog(stocked.project_token, host=stocked.url, secret_key=stocked.secret_key)
    try:
        client.load_feature_flags()
        expected = remote(stocked)
        for number, distinct_id in enumerate(_IDS):
            flags = client.evaluate_flags(
                distinct_id, person_properties=person(number), only_evaluate_locally=True
            )
            assert flags.unresolved_flags == {}
            values = {key: flags.get_flag(key) for key in flags.keys}
            values.pop("inactive", None)  # the server leaves an inactive flag out
            assert values == expected[distinct_id]
    finally:
        client.shutdown()


@pytest.mark.usefixtures("_npm_packages")
def test_posthog_node_agrees(stocked: PostHogLocal) -> None:
    options = {"host": stocked.url, "personalApiKey": stocked.secret_key}
    with node_client(stocked.project_token, **options) as client:
        assert client.call("waitForLocalEvaluationReady", 5000)
        expected = remote(stocked)
        for number, distinct_id in enumerate(_IDS):
            # Its evaluator leaves whole numbers in `exact` to the server; none of these has one.
            here = {"personProperties": person(number), "onlyEvaluateLocally": True}
            values = client.call("getAllFlags", distinct_id, here)
            values.pop("inactive", None)
            assert values == expected[distinct_id]

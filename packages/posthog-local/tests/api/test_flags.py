"""Feature flags and cohorts through PostHog's API."""

from __future__ import annotations

from typing import Any

import pytest
from client import ask, project, send

from posthog_local.testing import PostHogLocal

_EVERYBODY = {"groups": [{"properties": [], "rollout_percentage": 100}]}


def create(local: PostHogLocal, key: str = "beta", **fields: Any) -> dict[str, Any]:
    status, flag = project(
        local, "POST", "/feature_flags/", {"key": key, "filters": _EVERYBODY, **fields}
    )
    assert status == 201
    assert isinstance(flag, dict)
    return flag


def test_a_flag_is_created_read_changed_and_deleted(local: PostHogLocal) -> None:
    flag = create(local, name="A flag")
    assert (flag["key"], flag["version"], flag["active"]) == ("beta", 1, True)
    assert flag["created_at"] == flag["updated_at"]
    path = f"/feature_flags/{flag['id']}/"
    assert project(local, "GET", path) == (200, flag)
    status, changed = project(local, "PATCH", path, {"active": False, "version": 1})
    assert (status, changed["active"], changed["version"]) == (200, False, 2)
    assert changed["name"] == "A flag"  # the rest stays
    status, renamed = project(local, "PATCH", path, {"key": "gamma"})
    assert (renamed["key"], renamed["id"]) == ("gamma", flag["id"])
    assert [one["key"] for one in local.flags()] == ["gamma"]
    status, deleted = project(local, "PATCH", path, {"deleted": True})
    assert (status, deleted["deleted"]) == (200, True)
    assert project(local, "GET", path)[0] == 404
    assert local.flags() == []


def test_what_was_read_can_be_sent_back_whole(local: PostHogLocal) -> None:
    flag = create(local)
    status, same = project(local, "PATCH", f"/feature_flags/{flag['id']}/", flag)
    assert (status, same) == (200, flag)


def test_a_change_of_an_old_version_is_refused(local: PostHogLocal) -> None:
    flag = create(local)
    path = f"/feature_flags/{flag['id']}"
    assert project(local, "PATCH", path, {"name": "first", "version": 1})[0] == 200
    status, error = project(local, "PATCH", path, {"name": "second", "version": 1})
    assert (status, error["code"]) == (409, "conflict")
    assert project(local, "GET", path)[1]["name"] == "first"


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"filters": _EVERYBODY}, "key"),
        ({"key": "x"}, "filters"),
        ({"key": "beta", "filters": _EVERYBODY}, "key"),
    ],
)
def test_what_cannot_be_created(local: PostHogLocal, body: Any, attr: str) -> None:
    create(local)
    status, error = project(local, "POST", "/feature_flags", body)
    assert (status, error["type"], error["attr"]) == (400, "validation_error", attr)
    assert len(local.flags()) == 1


def test_shapes_that_are_no_flag(local: PostHogLocal) -> None:
    for filters in ({"groups": 5}, {"multivariate": {"variants": [{"key": "a"}]}}):
        body = {"key": "x", "filters": filters}
        assert project(local, "POST", "/feature_flags", body)[0] == 400
    assert project(local, "POST", "/feature_flags", [1])[0] == 400
    assert local.flags() == []


def test_deleting_is_a_change_not_a_method(local: PostHogLocal) -> None:
    flag = create(local)
    assert project(local, "DELETE", f"/feature_flags/{flag['id']}")[0] == 405


def test_pages_and_search(local: PostHogLocal) -> None:
    for number in range(5):
        create(local, f"flag-{number}", active=number != 3)
    first = project(local, "GET", "/feature_flags/?limit=2")[1]
    assert [one["key"] for one in first["results"]] == ["flag-4", "flag-3"]
    assert (first["count"], first["previous"]) == (5, None)
    second = ask(local, "GET", first["next"].removeprefix(local.url))[1]
    assert [one["key"] for one in second["results"]] == ["flag-2", "flag-1"]
    assert second["previous"]
    assert project(local, "GET", "/feature_flags/?search=G-3")[1]["count"] == 1
    assert project(local, "GET", "/feature_flags/?active=false")[1]["count"] == 1


def test_reasons_and_my_flags(local: PostHogLocal) -> None:
    company = {"key": "size", "type": "group", "operator": "gt", "value": 5,
               "group_type_index": 0}  # fmt: skip
    create(local, "everybody")
    create(local, "big", filters={"groups": [{"properties": [company]}],
                                  "aggregation_group_type_index": 0})  # fmt: skip
    send(local, {"event": "$groupidentify", "properties": {
        "$group_type": "company", "$group_key": "acme", "$group_set": {"size": 7}}})  # fmt: skip
    path = "/feature_flags/evaluation_reasons?distinct_id=u"
    reasons = project(local, "GET", path + '&groups={"company":"acme"}')[1]
    match = {"reason": "condition_match", "condition_index": 0}
    assert reasons["everybody"] == {"value": True, "evaluation": match}
    assert reasons["big"]["value"] is True
    assert project(local, "GET", path)[1]["big"]["evaluation"]["reason"] == "no_group_type"
    mine = project(local, "GET", "/feature_flags/my_flags")[1]
    assert ("everybody", True) in [(one["feature_flag"]["key"], one["value"]) for one in mine]
    assert project(local, "GET", "/feature_flags/evaluation_reasons")[0] == 400


def test_a_cohort_decides_who_gets_a_flag(local: PostHogLocal) -> None:
    rule = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
    body = {"name": "Pros", "filters": {"properties": {"type": "OR", "values": [
        {"type": "AND", "values": [rule]}]}}}  # fmt: skip
    send(local, {"event": "$set", "$set": {"plan": "pro"}}, {"distinct_id": "v"})
    status, cohort = project(local, "POST", "/cohorts/", body)
    assert (status, cohort["name"], cohort["count"]) == (201, "Pros", 1)
    uses = {"key": "id", "type": "cohort", "operator": "in", "value": cohort["id"]}
    create(local, "for-pros", filters={"groups": [{"properties": [uses]}]})
    for who, value in (("u", True), ("v", False)):
        found = project(local, "GET", f"/feature_flags/evaluation_reasons?distinct_id={who}")[1]
        assert found["for-pros"]["value"] is value
    path = f"/cohorts/{cohort['id']}"
    static = project(local, "PATCH", path, {"is_static": True, "distinct_ids": ["v", "w"]})[1]
    assert (static["is_static"], static["count"], static["name"]) == (True, 2, "Pros")
    found = project(local, "GET", "/feature_flags/evaluation_reasons?distinct_id=v")[1]
    assert found["for-pros"]["value"] is True
    assert project(local, "GET", "/cohorts")[1]["count"] == 1
    assert project(local, "PATCH", path, {"deleted": True})[1]["deleted"] is True
    assert project(local, "GET", path)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"filters": {"properties": {"type": "OR", "values": []}}},
        {"name": "x", "filters": {"properties": {"type": "NOT", "values": []}}},
        {"name": "x", "filters": {"properties": {"type": "OR", "values": [{"key": []}]}}},
        {"name": "x", "filters": [1]},
        {"name": "x", "is_static": True, "distinct_ids": [5]},
    ],
)
def test_what_is_no_cohort(local: PostHogLocal, body: Any) -> None:
    assert project(local, "POST", "/cohorts", body)[0] == 400
    assert project(local, "GET", "/cohorts")[1]["count"] == 0

"""The official npm `posthog-node`, unchanged, against PostHog Local."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nodes import node_client

from posthog_local.testing import PostHogLocal

pytestmark = pytest.mark.usefixtures("_npm_packages")


def options(local: PostHogLocal, **more: Any) -> dict[str, Any]:
    return {"host": local.url, "flushAt": 1, "flushInterval": 50, **more}


def test_capture_identify_and_alias_make_one_timeline(local: PostHogLocal) -> None:
    with node_client(local.project_token, **options(local)) as posthog:
        posthog.call("capture", {"distinctId": "anon", "event": "before", "properties": {"n": 1}})
        posthog.call("flush")
        posthog.call("alias", {"distinctId": "u1", "alias": "anon"})
        posthog.call("identify", {"distinctId": "u1", "properties": {"plan": "pro"}})
        posthog.call("groupIdentify", {"groupType": "company", "groupKey": "acme",
                                       "properties": {"size": 7}})  # fmt: skip
    local.wait_for_event("$groupidentify")
    names = {one["event"] for one in local.timeline("u1")}
    assert names == {"before", "$create_alias", "$identify"}
    person = local.person("u1")
    assert person is not None
    assert person["distinct_ids"] == ["anon", "u1"]
    assert person["properties"]["plan"] == "pro"
    assert local.events("before")[0]["properties"]["$lib"] == "posthog-node"


def test_an_exception(local: PostHogLocal) -> None:
    with node_client(local.project_token, **options(local)) as posthog:
        posthog.call("captureException", {"message": "plain object"}, "u1", {"where": "here"})
    event = local.wait_for_event("$exception", distinct_id="u1")
    assert event["properties"]["where"] == "here"
    assert event["properties"]["$exception_list"]


def test_an_error_and_a_lost_answer_are_retried_into_one_event(local: PostHogLocal) -> None:
    local.add_fault("/batch", status=503, times=1)
    local.add_fault("/batch", lose_response=True, times=1)
    quick = options(local, fetchRetryDelay=50)
    with node_client(local.project_token, **quick) as posthog:
        posthog.call("capture", {"distinctId": "u1", "event": "once"})
        local.wait_for_event("once", timeout=15)
    assert len(local.events("once")) == 1
    assert [fault["hits"] for fault in local.faults()] == [1, 1]


def test_flags_evaluated_by_the_server(local: PostHogLocal) -> None:
    local.set_flag("colour", variants={"red": 100}, payloads={"red": {"hex": "#f00"}})
    local.set_flag("off", rollout=0)
    with node_client(local.project_token, **options(local)) as posthog:
        assert posthog.call("getFeatureFlag", "colour", "u1") == "red"
        assert posthog.call("getFeatureFlagPayload", "colour", "u1") == {"hex": "#f00"}
        assert posthog.call("isFeatureEnabled", "off", "u1") is False
        assert posthog.call("getAllFlags", "u1") == {"colour": "red", "off": False}
    called = local.wait_for_event("$feature_flag_called")
    assert called["properties"]["$feature_flag_reason"] == "Matched condition set 1"


def test_flags_evaluated_locally_follow_the_definitions(local: PostHogLocal) -> None:
    local.set_flag("beta", variants={"a": 100})
    own = options(local, personalApiKey=local.secret_key, featureFlagsPollingInterval=100)
    with node_client(local.project_token, **own) as posthog:
        assert posthog.call("waitForLocalEvaluationReady", 5000) is True

        def value() -> object:
            only_here = {"onlyEvaluateLocally": True, "sendFeatureFlagEvents": False}
            return posthog.call("getFeatureFlag", "beta", "u1", only_here)

        assert value() == "a"
        local.set_flag("beta", variants={"b": 100})
        deadline = time.monotonic() + 10
        while value() != "b":
            assert time.monotonic() < deadline, "the new definition did not arrive"

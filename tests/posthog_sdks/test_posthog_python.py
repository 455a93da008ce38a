"""The official PyPI `posthog`, unchanged, against PostHog Local."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from posthog import Posthog
from posthog.async_client import AsyncPosthog

from posthog_local.testing import PostHogLocal

_PRO = [{"key": "plan", "operator": "exact", "value": ["pro"], "type": "person"}]


@contextmanager
def sdk(local: PostHogLocal, **options: Any) -> Iterator[Posthog]:
    client = Posthog(local.project_token, host=local.url, flush_interval=0.05, **options)
    try:
        yield client
    finally:
        client.shutdown()


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.mark.parametrize("gzip", [False, True])
def test_capture(local: PostHogLocal, gzip: bool) -> None:
    with sdk(local, gzip=gzip) as posthog:
        uuid = posthog.capture(
            "order_placed",
            distinct_id="u1",
            properties={"total": 12.5, "text": "é🦔"},
            groups={"company": "acme"},
        )
    event = local.wait_for_event("order_placed", distinct_id="u1")
    assert event["uuid"] == uuid
    assert event["properties"]["total"] == 12.5
    assert event["properties"]["text"] == "é🦔"
    assert event["properties"]["$lib"] == "posthog-python"
    assert event["properties"]["$groups"] == {"company": "acme"}


def test_one_person_from_set_alias_and_group(local: PostHogLocal) -> None:
    with sdk(local) as posthog:
        posthog.capture("before", distinct_id="anon")
        posthog.alias("anon", "u1")
        posthog.set(distinct_id="u1", properties={"plan": "pro"})
        posthog.set_once(distinct_id="u1", properties={"plan": "free", "first": 1})
        posthog.group_identify("company", "acme", {"size": 7}, distinct_id="u1")
    names = [one["event"] for one in local.timeline("u1")]
    assert names == ["before", "$create_alias", "$set", "$set_once", "$groupidentify"]
    person = local.person("u1")
    assert person is not None
    assert person["distinct_ids"] == ["anon", "u1"]
    assert (person["properties"]["plan"], person["properties"]["first"]) == ("pro", 1)


def test_an_event_without_a_person_is_personless(local: PostHogLocal) -> None:
    with sdk(local) as posthog:
        posthog.capture("somebody_did")
    event = local.wait_for_event("somebody_did")
    assert event["person_mode"] == "propertyless"
    assert local.person(event["distinct_id"]) is None


def test_an_exception(local: PostHogLocal) -> None:
    with sdk(local) as posthog:
        try:
            raise ValueError("bad total")
        except ValueError as error:
            posthog.capture_exception(error, distinct_id="u1")
    event = local.wait_for_event("$exception", distinct_id="u1")
    first = event["properties"]["$exception_list"][0]
    assert (first["type"], first["value"]) == ("ValueError", "bad total")


def test_an_error_and_a_lost_answer_are_retried_into_one_event(local: PostHogLocal) -> None:
    local.add_fault("/batch", status=503, times=1)
    local.add_fault("/batch", lose_response=True, times=1)
    with sdk(local) as posthog:
        posthog.capture("once", distinct_id="u1")
    assert len(local.wait_for_events("once", 1)) == 1
    assert [fault["hits"] for fault in local.faults()] == [1, 1]


def test_flags_evaluated_by_the_server(local: PostHogLocal) -> None:
    local.set_flag("pro-only", properties=_PRO)
    local.set_flag("colour", variants={"red": 100}, payloads={"red": {"hex": "#f00"}})
    local.set_flag("off", rollout=0)
    with sdk(local) as posthog:
        posthog.set(distinct_id="u1", properties={"plan": "pro"})
        posthog.flush()
        local.wait_for_event("$set")
        flags = posthog.evaluate_flags("u1")
        assert flags.is_enabled("pro-only")
        assert flags.get_flag("colour") == "red"
        assert flags.get_flag_payload("colour") == {"hex": "#f00"}
        assert flags.get_flag("off") is False
        assert not posthog.evaluate_flags("u2").is_enabled("pro-only")
        posthog.capture("with_flags", distinct_id="u1", flags=flags)
    called = local.wait_for_events("$feature_flag_called", 4)
    reasons = {
        (one["distinct_id"], one["properties"]["$feature_flag"]): one["properties"][
            "$feature_flag_reason"
        ]
        for one in called
    }
    assert reasons["u1", "pro-only"] == "Matched condition set 1"
    assert reasons["u1", "off"] == "Out of rollout bound"
    assert reasons["u2", "pro-only"] == "No matching condition set"
    properties = local.wait_for_event("with_flags")["properties"]
    assert properties["$feature/colour"] == "red"
    assert properties["$active_feature_flags"] == ["colour", "pro-only"]


def test_flags_evaluated_locally_follow_the_definitions(local: PostHogLocal) -> None:
    local.set_flag("beta", variants={"a": 100})
    with sdk(local, secret_key=local.secret_key, poll_interval=1) as posthog:
        posthog.load_feature_flags()

        def value() -> object:
            return posthog.evaluate_flags("u1", only_evaluate_locally=True).get_flag("beta")

        assert value() == "a"
        local.set_flag("beta", variants={"b": 100})
        until(lambda: value() == "b")
        local.set_flag("beta", rollout=0)
        until(lambda: value() is False)


def test_a_wrong_key_gets_no_definitions(local: PostHogLocal) -> None:
    local.set_flag("beta")
    with sdk(local, secret_key="phs_wrong") as posthog:
        posthog.load_feature_flags()
        assert not posthog.feature_flags


def test_a_remote_configuration_payload(local: PostHogLocal) -> None:
    local.set_flag("config", payloads={"true": {"limit": 3}})
    with sdk(local, secret_key=local.secret_key) as posthog:
        assert posthog.get_remote_config_payload("config") in ({"limit": 3}, '{"limit":3}')


def test_the_async_client(local: PostHogLocal) -> None:
    pytest.importorskip("httpx", reason="posthog[async] is not installed")

    async def main() -> object:
        async with AsyncPosthog(local.project_token, host=local.url) as posthog:
            posthog.capture("from_async", distinct_id="u1", properties={"n": 1})
            await posthog.flush()
            return (await posthog.evaluate_flags("u1")).get_flag("beta")

    local.set_flag("beta")
    assert asyncio.run(main()) is True
    assert local.wait_for_event("from_async")["properties"]["n"] == 1


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate", "zstd"])
def test_capture_v1(local: PostHogLocal, compression: str) -> None:
    errors: list[object] = []
    with sdk(
        local,
        capture_mode="v1",
        capture_compression=compression,
        on_error=lambda error, _batch: errors.append(error),
    ) as posthog:
        posthog.capture("good", distinct_id="u1", properties={"n": 1, "$session_id": "s1"})
        posthog.capture("x" * 201, distinct_id="u1")
    event = local.wait_for_event("good", distinct_id="u1")
    assert event["properties"]["$lib"] == "posthog-python"
    assert event["session_id"] == "s1"
    assert len(local.events()) == 1
    assert "event_name_too_long" in str(getattr(errors[0], "drops", None))

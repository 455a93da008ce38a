"""PostHog's routes over HTTP: statuses, CORS, limits, faults, and no 500 whatever comes."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posthog_local.testing import PostHogLocal

_EVENT = {"api_key": "phc_a", "event": "e", "distinct_id": "u"}


class Answer:
    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.text = response.read()
        self.headers = response.headers

    def json(self) -> Any:
        return json.loads(self.text)


def ask(
    local: PostHogLocal,
    method: str,
    path: str,
    body: bytes | dict[str, Any] | None = None,
    **headers: str,
) -> Answer:
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=15)
    payload = json.dumps(body).encode() if isinstance(body, dict) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, payload, named)
        return Answer(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    ["/batch", "/batch/", "/i/v0/e", "/i/v0/e/", "/e", "/e/", "/capture/", "/track", "/engage/"],
)
def test_every_capture_route_takes_an_event(local: PostHogLocal, path: str) -> None:
    answer = ask(local, "POST", path, _EVENT)
    assert (answer.status, answer.json()) == (200, {"status": 1})
    assert local.wait_for_event("e")["distinct_id"] == "u"


def test_gzip_as_text_and_a_beacon(local: PostHogLocal) -> None:
    body = gzip.compress(json.dumps(_EVENT).encode())
    answer = ask(
        local, "POST", "/e/?beacon=1&ip=0&_=1767225600000", body, content_type="text/plain"
    )
    assert (answer.status, answer.text) == (204, b"")
    assert len(local.events("e")) == 1


def test_a_get_with_its_event_in_the_query(local: PostHogLocal) -> None:
    data = base64.urlsafe_b64encode(json.dumps(_EVENT).encode()).decode()
    assert ask(local, "GET", f"/e/?data={data}&compression=base64").status == 200
    assert len(local.events("e")) == 1


def test_an_event_arrives_as_it_was_sent(local: PostHogLocal) -> None:
    properties = {"text": "é🦔", "nested": {"a": [1, 2.5, None]}, "$session_id": "s"}
    ask(local, "POST", "/i/v0/e", {**_EVENT, "properties": properties, "timestamp": "2026-01-01"})
    event = local.wait_for_event("e")
    assert event["properties"] == properties
    assert event["timestamp"] == "2026-01-01T00:00:00.000000Z"
    assert event["session_id"] == "s"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"event":"e","distinct_id":"u"}', 401),
        (b'{"api_key":"phx_1","event":"e","distinct_id":"u"}', 401),
        (b'{"api_key":"phc_a","event":"e"}', 400),
    ],
)
def test_refusals_are_plain_sentences(local: PostHogLocal, body: bytes, status: int) -> None:
    answer = ask(local, "POST", "/batch/", body)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert local.events() == []


def test_a_body_over_the_cap_is_refused_before_it_is_read(local: PostHogLocal) -> None:
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.putrequest("POST", "/e/")
    connection.putheader("content-length", str(3 * 1024 * 1024))
    connection.endheaders()
    assert Answer(connection.getresponse()).status == 413
    connection.close()


def test_whoever_sends_a_huge_body_first_is_told_why(local: PostHogLocal) -> None:
    answer = ask(local, "POST", "/batch/", b"x" * (48 * 1024 * 1024))
    assert answer.status == 413
    assert b"the body is larger than" in answer.text
    [warning] = local.warnings()
    assert warning["details"]["status"] == 413


def test_chunked_bodies_are_capped_as_well(local: PostHogLocal) -> None:
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    chunks = (b"x" * 65536 for _ in range(40))
    connection.request("POST", "/e/", chunks, encode_chunked=True,
                       headers={"transfer-encoding": "chunked"})  # fmt: skip
    assert Answer(connection.getresponse()).status == 413
    connection.close()


def test_cors_mirrors_the_origin(local: PostHogLocal) -> None:
    answer = ask(local, "OPTIONS", "/flags/?v=2", origin="http://shop.test",
                 access_control_request_headers="content-type,x-a")  # fmt: skip
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "http://shop.test"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "content-type,x-a"
    posted = ask(local, "POST", "/e/", _EVENT, origin="http://shop.test")
    assert posted.headers["access-control-allow-origin"] == "http://shop.test"


def test_flags_see_stored_persons_and_the_request_overrides(local: PostHogLocal) -> None:
    local.set_flag("pro", properties=[{"key": "plan", "operator": "exact", "value": ["pro"]}])
    question: dict[str, Any] = {"token": "phc_a", "distinct_id": "u"}

    def enabled(**more: Any) -> bool:
        answer = ask(local, "POST", "/flags/?v=2", {**question, **more}).json()
        return bool(answer["flags"]["pro"]["enabled"])

    assert not enabled()
    ask(local, "POST", "/e", {**_EVENT, "event": "$set", "$set": {"plan": "pro"}})
    assert enabled()
    assert not enabled(person_properties={"plan": "free"})


def test_flags_see_stored_groups(local: PostHogLocal) -> None:
    properties = {"$group_type": "company", "$group_key": "acme", "$group_set": {"size": 7}}
    ask(local, "POST", "/e", {**_EVENT, "event": "$groupidentify", "properties": properties})
    line = {"key": "size", "operator": "gt", "value": 5, "type": "group", "group_type_index": 0}
    local.set_flag("big", definition={"filters": {
        "groups": [{"properties": [line], "rollout_percentage": 100}],
        "aggregation_group_type_index": 0}})  # fmt: skip
    question = {"token": "phc_a", "distinct_id": "u"}

    def reason(**more: Any) -> str:
        answer = ask(local, "POST", "/flags/?v=2", {**question, **more}).json()
        return str(answer["flags"]["big"]["reason"]["code"])

    assert reason(groups={"company": "acme"}) == "condition_match"
    assert reason(groups={"company": "tiny"}) == "no_condition_match"
    assert reason() == "no_group_type"


def test_the_answer_of_every_version(local: PostHogLocal) -> None:
    flag = local.set_flag("v", variants={"a": 100}, payloads={"a": {"n": 1}})
    local.set_flag("off", rollout=0)
    body = {"token": "phc_a", "distinct_id": "u"}
    two = ask(local, "POST", "/flags/?v=2", body).json()
    assert two["flags"]["v"] == {
        "key": "v",
        "enabled": True,
        "variant": "a",
        "reason": {
            "code": "condition_match",
            "condition_index": 0,
            "description": "Matched condition set 1",
        },
        "metadata": {
            "id": flag["id"],
            "version": 1,
            "description": None,
            "payload": '{"n":1}',
            "has_experiment": False,
        },
    }
    assert two["flags"]["off"]["reason"]["code"] == "out_of_rollout_bound"
    assert ask(local, "POST", "/flags/?v=4", body).json()["flags"]["v"]["value"] == "a"
    legacy = ask(local, "POST", "/decide/?v=3", body).json()
    assert legacy["featureFlags"] == {"v": "a", "off": False}
    assert legacy["featureFlagPayloads"] == {"v": '{"n":1}'}
    assert ask(local, "POST", "/decide/?v=2", body).json()["featureFlags"] == {"v": "a"}
    assert ask(local, "POST", "/decide/", body).json()["featureFlags"] == ["v"]
    some = ask(local, "POST", "/flags/?v=2", {**body, "flag_keys_to_evaluate": ["off"]}).json()
    assert list(some["flags"]) == ["off"]


def test_a_continuous_flag_stays_as_it_was_before_the_login(local: PostHogLocal) -> None:
    halves = {"groups": [{"properties": [], "rollout_percentage": 100}],
              "multivariate": {"variants": [{"key": "a", "rollout_percentage": 50},
                                            {"key": "b", "rollout_percentage": 50}]}}  # fmt: skip
    local.set_flag("test", definition={"filters": halves, "ensure_experience_continuity": True})

    def variant(distinct_id: str, **more: Any) -> Any:
        body = {"token": "phc_a", "distinct_id": distinct_id, **more}
        return ask(local, "POST", "/flags/?v=2", body).json()["flags"]["test"]["variant"]

    variants = {f"id-{number}": variant(f"id-{number}") for number in range(20)}
    anonymous = next(one for one, value in variants.items() if value == "a")
    person = next(one for one, value in variants.items() if value == "b")
    properties = {"$anon_distinct_id": anonymous}
    identify = {**_EVENT, "event": "$identify", "distinct_id": person, "properties": properties}
    assert variant(person, **{"$anon_distinct_id": anonymous}) == "a"
    ask(local, "POST", "/e", identify)
    assert variant(person, **{"$anon_distinct_id": anonymous}) == "a"
    assert variant(person) == variant(anonymous) == "a"


def test_runtime_and_contexts_filter_flags(local: PostHogLocal) -> None:
    local.set_flag("server", definition={"evaluation_runtime": "server", "filters": {"groups": []}})
    local.set_flag("shop", definition={"evaluation_contexts": ["shop"], "filters": {"groups": []}})

    def keys(**more: Any) -> set[str]:
        body = {"token": "phc_a", "distinct_id": "u", **more}
        return set(ask(local, "POST", "/flags/?v=2", body).json()["flags"])

    assert keys() == {"server", "shop"}
    assert keys(evaluation_runtime="client") == {"shop"}
    assert keys(evaluation_contexts=["blog"]) == {"server"}
    assert keys(evaluation_contexts=["blog", "shop"]) == {"server", "shop"}


def test_a_flags_request_tolerates_nan_and_refuses_nonsense(local: PostHogLocal) -> None:
    body = b'{"token":"phc_a","distinct_id":1,"person_properties":{"x":NaN}}'
    assert ask(local, "POST", "/flags/?v=2", body).status == 200
    assert ask(local, "POST", "/flags/?v=2", b"{").status == 400
    assert ask(local, "POST", "/flags/?v=2", {"token": "phc_a"}).status == 400
    assert ask(local, "POST", "/flags/?v=2", {"distinct_id": "u"}).status == 401


def test_definitions_need_a_secret_and_know_what_the_caller_has(local: PostHogLocal) -> None:
    path = "/flags/definitions?token=phc_a&send_cohorts"
    local.set_flags([{"key": "f"}], {"7": {"type": "AND", "values": []}, "8": {"distinct_ids": []}})
    refused = ask(local, "GET", path, authorization="Bearer phs_wrong")
    assert (refused.status, refused.json()["type"]) == (401, "authentication_error")
    secret = f"Bearer {local.secret_key}"
    first = ask(local, "GET", path, authorization=secret)
    assert [flag["key"] for flag in first.json()["flags"]] == ["f"]
    assert first.json()["cohorts"] == {"7": {"type": "AND", "values": []}}
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    same = ask(local, "GET", path, authorization=secret, if_none_match=etag)
    assert (same.status, same.text, same.headers["etag"]) == (304, b"", etag)
    local.set_flag("f", rollout=10)
    changed = ask(local, "GET", path, authorization=secret, if_none_match=etag)
    assert changed.status == 200
    alias = "/api/feature_flag/local_evaluation/?token=phc_a&send_cohorts"
    personal = f"Bearer {local.personal_api_key}"
    assert ask(local, "GET", alias, authorization=personal).text == changed.text
    assert ask(local, "POST", path, authorization=secret).status == 405


def test_quota_is_said_as_posthog_says_it(local: PostHogLocal) -> None:
    local.add_fault("/", quota_limited=True)
    answer = ask(local, "POST", "/batch/", _EVENT)
    assert (answer.status, answer.json()["quota_limited"]) == (200, ["events"])
    flags = ask(local, "POST", "/flags/?v=2", {"token": "phc_a", "distinct_id": "u"}).json()
    assert (flags["quotaLimited"], flags["flags"]) == (["feature_flags"], {})
    secret = f"Bearer {local.secret_key}"
    assert ask(local, "GET", "/flags/definitions", authorization=secret).status == 402
    local.clear_faults()
    assert local.events() == []


def test_an_error_for_a_number_of_times(local: PostHogLocal) -> None:
    local.add_fault("/batch", status=503, times=2, retry_after=1, body="down")
    answers = [ask(local, "POST", "/batch/", _EVENT) for _ in range(3)]
    assert [one.status for one in answers] == [503, 503, 200]
    assert (answers[0].text, answers[0].headers["retry-after"]) == (b"down", "1")
    assert ask(local, "POST", "/e/", _EVENT).status == 200
    assert local.faults()[0]["hits"] == 2


def test_a_lost_response_is_a_stored_event(local: PostHogLocal) -> None:
    local.add_fault("/batch", lose_response=True, times=1)
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        ask(local, "POST", "/batch/", _EVENT)
    assert len(local.events("e")) == 1


def test_a_hanging_request_is_let_go_with_its_fault(local: PostHogLocal) -> None:
    local.add_fault("/batch", hang=True)
    outcome: list[object] = []

    def send() -> None:
        try:
            outcome.append(ask(local, "POST", "/batch/", _EVENT))
        except OSError as error:
            outcome.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    while local.faults()[0]["hits"] == 0:
        pass
    local.clear_faults()
    sender.join(60)
    assert isinstance(outcome[0], OSError)
    assert local.events() == []


_DOCUMENTED = {200, 204, 400, 401, 413}


@given(
    path=st.sampled_from(["/batch/", "/i/v0/e", "/e/", "/engage", "/flags/?v=2", "/decide/?v=3"]),
    body=st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["api_key", "batch", "event", "distinct_id", "properties", "token"]),
        st.none() | st.text(max_size=5) | st.integers() | st.lists(st.none(), max_size=2),
    ).map(lambda value: json.dumps(value).encode()),
    encoding=st.sampled_from(["", "gzip", "base64", "lz64", "x"]),
    packed=st.booleans(),
)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_body_makes_an_internal_error(
    local: PostHogLocal, path: str, body: bytes, encoding: str, packed: bool
) -> None:
    body = gzip.compress(body) if packed else body
    assert ask(local, "POST", path, body, content_encoding=encoding).status in _DOCUMENTED

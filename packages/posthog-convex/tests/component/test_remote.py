"""What PostHog's answers to a flag request mean, and which are asked for twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from posthog_convex.component.remote import (
    Question,
    RemoteAnswer,
    RemoteFlag,
    ask,
    flags_request,
)
from pyconvex.delivery import Request, Response, Unreachable

HOST = "http://127.0.0.1:1/"
GOOD = {
    "flags": {
        "on": {"key": "on", "enabled": True, "variant": None, "metadata": {"id": 1, "version": 2}},
        "off": {"key": "off", "enabled": False, "metadata": {"payload": None}},
        "multi": {
            "key": "multi",
            "enabled": True,
            "variant": "a",
            "reason": {"code": "condition_match", "condition_index": 0},
            "metadata": {"id": 3, "version": 4, "payload": '{"a":1}'},
        },
        "torn": {"key": "torn", "enabled": False, "failed": True},
    },
    "errorsWhileComputingFlags": True,
    "requestId": "r",
}


def answered(status: int, body: Any = None) -> Response:
    return Response(status, {}, json.dumps(body).encode())


class Wire:
    def __init__(self, *answers: Response | Unreachable) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.slept: list[float] = []

    async def send(self, request: Request, *, deadline_s: float) -> Response:
        assert deadline_s == 3.0
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def ask(self) -> RemoteAnswer:
        request = flags_request(HOST, " phc_t ", Question(distinct_id="u"))
        return asyncio.run(ask(request, self.send, 3.0, self.sleep))


def test_the_request_has_the_token_and_the_question() -> None:
    question = Question(
        distinct_id="u",
        person_properties={"plan": "pro"},
        groups={"company": "acme", "team": "a"},
        group_properties={"company": {"seats": 3}, "other": {"n": 1}},
    )
    request = flags_request(HOST, " phc_t ", question)
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:1/flags/?v=2")
    body = {
        "token": "phc_t",
        "distinct_id": "u",
        "groups": {"company": "acme", "team": "a"},
        "person_properties": {"distinct_id": "u", "plan": "pro"},
        "group_properties": {
            "company": {"$group_key": "acme", "seats": 3},
            "team": {"$group_key": "a"},
        },
        "geoip_disable": True,
        "evaluation_runtime": "server",
    }
    assert json.loads(request.body) == body
    some = Question(distinct_id="u", keys=["a"], disable_geoip=False)
    assert json.loads(flags_request(HOST, "phc_t", some).body)["flag_keys_to_evaluate"] == ["a"]


def test_values_payloads_and_failures() -> None:
    wire = Wire(answered(200, GOOD))
    assert wire.ask() == RemoteAnswer(
        {
            "on": RemoteFlag(True, None, 1, 2),
            "off": RemoteFlag(False),
            "multi": RemoteFlag("a", '{"a":1}', 3, 4, "condition_match"),
        },
        ("torn",),
        request_id="r",
    )
    assert wire.slept == []


def test_an_older_server_answers_with_maps() -> None:
    answer = {"featureFlags": {"a": True, "b": "x"}, "featureFlagPayloads": {"b": '"p"', "a": {}}}
    assert Wire(answered(200, answer)).ask() == RemoteAnswer(
        {"a": RemoteFlag(True, "{}"), "b": RemoteFlag("x", '"p"')}
    )


@pytest.mark.parametrize("first", [answered(502), answered(504), Unreachable("refused")])
def test_what_may_pass_is_asked_once_more(first: Response | Unreachable) -> None:
    wire = Wire(first, answered(200, GOOD))
    assert wire.ask().error is None
    assert wire.slept == [0.3]
    assert wire.requests[0] == wire.requests[1]
    wire = Wire(first, first)
    error = wire.ask().error
    assert error is not None
    assert "could not be reached" in error


@pytest.mark.parametrize(
    ("response", "word"),
    [
        (answered(503), "503"),
        (answered(500), "500"),
        (answered(401), "POSTHOG_PROJECT_TOKEN"),
        (answered(402), "billing"),
        (answered(429), "429"),
        (answered(404), "POSTHOG_HOST"),
        (answered(200, {"flags": {}, "quotaLimited": ["feature_flags"]}), "quota"),
        (answered(200, {"something": 1}), "POSTHOG_HOST"),
        (answered(200, []), "POSTHOG_HOST"),
        (Response(200, {}, b"<html>"), "POSTHOG_HOST"),
    ],
)
def test_what_will_not_pass_is_not_asked_again(response: Response, word: str) -> None:
    wire = Wire(response)
    answer = wire.ask()
    assert answer.flags == {}
    assert word in (answer.error or "")


def test_a_quota_for_something_else_is_none_for_flags() -> None:
    answer = {**GOOD, "quotaLimited": ["recordings"]}
    assert Wire(answered(200, answer)).ask().error is None

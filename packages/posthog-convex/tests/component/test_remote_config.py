"""Payloads of flags that only carry configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthog_convex.component.remote_config import (
    Payload,
    payload_request,
    read_payload,
    unasked,
)
from pyconvex.delivery import Response

ENV = {
    "POSTHOG_PROJECT_TOKEN": " phc_t ",
    "POSTHOG_HOST": "http://h/",
    "POSTHOG_PERSONAL_API_KEY": " phx_canary ",
}


def test_the_request() -> None:
    request = payload_request(ENV, "a flag/of mine")
    path = "/api/projects/@current/feature_flags/a%20flag%2Fof%20mine/remote_config"
    assert (request.method, request.url) == ("GET", f"http://h{path}?token=phc_t")
    assert dict(request.headers)["Authorization"] == "Bearer phx_canary"


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'"{\\"a\\": 1}"', {"a": 1}),
        (b'{"a": 1}', {"a": 1}),
        (b'"just text"', "just text"),
        (b"5", 5),
        (b'"5"', 5),
        (b"null", None),
    ],
)
def test_a_payload_is_decoded_once(body: bytes, payload: Any) -> None:
    found = read_payload(Response(200, {}, body), "k")
    assert found.text is not None
    assert json.loads(found.text) == payload


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (Response(200, {}, b"<html>"), "check POSTHOG_HOST"),
        (Response(401, {}, b""), "check POSTHOG_PERSONAL_API_KEY"),
        (Response(404, {}, b""), "no remote configuration 'k'"),
        (Response(429, {}, b""), "status 429"),
        (Response(503, {}, b""), "could not answer"),
    ],
)
def test_why_there_is_none(response: Response, told: str) -> None:
    found = read_payload(response, "k")
    assert found.text is None
    assert told in str(found.error)


def test_what_is_missing_is_told_without_asking() -> None:
    assert unasked(ENV) is None
    keyless = {**ENV, "POSTHOG_PERSONAL_API_KEY": " "}
    assert unasked(keyless) == "POSTHOG_PERSONAL_API_KEY is not set"
    assert "project token" in str(unasked({**ENV, "POSTHOG_PERSONAL_API_KEY": "phc_1"}))
    assert Payload() == Payload(None, None)


def test_an_action_reads_it_from_posthog(deployed: Any, local: Any) -> None:
    local.set_flag("settings", payloads={"true": {"limit": 5}})

    async def scenario(app: Any) -> None:
        async def ask(key: str) -> Any:
            return await app.call("action", "get_remote_config_payload", key, default="?")

        assert await ask("settings") == "?"
        assert "POSTHOG_PERSONAL_API_KEY is not set. The default stands in" in str(app.log)
        await app.connect(local)
        assert await ask("settings") == {"limit": 5}
        assert await ask("gone") == "?"
        assert "no remote configuration" in str(app.log)
        assert local.personal_api_key not in str(app.log)

    deployed(scenario)

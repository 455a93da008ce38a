"""With --strict-token another token fails as it would at PostHog; without, every one is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from posthog_local.testing import PostHogLocal, running

_OURS, _OTHER = "phc_ours", "phc_somebody_else_entirely"
_V1 = {"posthog-sdk-info": "test/1", "posthog-attempt": "1", "posthog-request-id": "r",
       "posthog-request-timestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
_EVENT = {"event": "e", "distinct_id": "u", "properties": {}}
_SNAPSHOT = {"$session_id": "s-1", "distinct_id": "u",
             "$snapshot_data": [{"type": 4, "timestamp": 1, "data": {}}]}  # fmt: skip
_LOGS = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "hi"}}]}]}]}
_SPAN = {"name": "chat", "spanId": "b7ad6b7169203331",
         "traceId": "0af7651916cd43dd8448eb211c80319c",
         "attributes": [{"key": "gen_ai.system", "value": {"stringValue": "m"}}]}  # fmt: skip
_SPANS = {"resourceSpans": [{"scopeSpans": [{"spans": [_SPAN]}]}]}


@pytest.fixture(scope="module")
def strict() -> Iterator[PostHogLocal]:
    with running(arguments=["--token", _OURS, "--strict-token"]) as local:
        yield local


def _post(local: PostHogLocal, path: str, body: object, **headers: str) -> int:
    named = {"content-type": "application/json", **headers}
    try:
        with urlopen(Request(local.url + path, json.dumps(body).encode(), named)) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def _everything(local: PostHogLocal, token: str) -> list[int]:
    """One request to every kind of route, and the statuses."""
    bearer = {"authorization": f"Bearer {token}"}
    return [
        _post(local, "/batch/", {"api_key": token, "batch": [_EVENT]}),
        _post(local, "/i/v0/e/", {"api_key": token, **_EVENT}),
        _post(local, "/i/v1/analytics/events", {"created_at": "2026-01-01T00:00:00Z", "batch": [
            {**_EVENT, "options": {}, "uuid": "0190163b-7aac-7d4f-8d1e-0c31a3b2cfe1",
             "timestamp": "2026-01-01T00:00:00Z"}]}, **bearer, **_V1),
        _post(local, "/s/", {"event": "$snapshot", "properties": {"token": token, **_SNAPSHOT}}),
        _post(local, "/i/v1/logs", _LOGS, **bearer),
        _post(local, "/i/v0/ai/otel", _SPANS, **bearer),
    ]  # fmt: skip


def _kept(local: PostHogLocal) -> dict[str, Any]:
    return {
        "events": len(local.events()),
        "logs": len(local.logs()),
        "recordings": len(local.recordings()),
    }


def _unknown(local: PostHogLocal) -> list[dict[str, Any]]:
    return [one for one in local.warnings() if one["kind"] == "unknown_project_token"]


def test_another_token_is_answered_200_and_nothing_of_it_is_kept(strict: PostHogLocal) -> None:
    strict.reset()
    assert _everything(strict, _OTHER) == [200] * 6
    assert _kept(strict) == {"events": 0, "logs": 0, "recordings": 0}
    warnings = _unknown(strict)
    assert len(warnings) == 6
    assert _OTHER not in json.dumps(warnings)


def test_the_project_s_token_is_taken(strict: PostHogLocal) -> None:
    strict.reset()
    assert _everything(strict, _OURS) == [200] * 6
    assert _kept(strict) == {"events": 4, "logs": 1, "recordings": 1}
    assert _unknown(strict) == []


def test_flags_are_refused_for_another_token(strict: PostHogLocal) -> None:
    asked = {"distinct_id": "u"}
    for path in ("/flags/?v=2", "/flags/", "/decide/?v=3"):
        assert _post(strict, path, {"token": _OTHER, **asked}) == 401
        assert _post(strict, path, {"token": _OURS, **asked}) == 200


def test_without_the_option_every_token_is_taken(local: PostHogLocal) -> None:
    assert _everything(local, _OTHER) == [200] * 6
    assert _kept(local) == {"events": 4, "logs": 1, "recordings": 1}

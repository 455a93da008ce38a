"""Every route under nonsense: never an internal error, and never a status that is not documented.

The documents are random, but of the words that the routes look for; then they are packed,
mislabelled, cut and damaged as no SDK would. A failure names the seed and the request.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import zlib
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from posthog_local.testing import PostHogLocal

_DOCUMENTED = {200, 204, 304, 400, 401, 404, 413, 415}
_POSTED = [
    *("/batch/", "/i/v0/e/", "/e/", "/capture", "/engage/", "/s/", "/i/v1/analytics/events"),
    *("/flags", "/flags/?v=2", "/flags/?v=4&config=true", "/decide/?v=3"),
    *("/i/v1/logs", "/i/v0/ai/otel"),
]
_READ = [
    *("/flags/definitions?send_cohorts", "/array/phc_a/config", "/static/x.js", "/api/surveys"),
    *("/_local/events?distinct_id=u", "/_local/timeline?distinct_id=u", "/_local/issues"),
    *("/activity", "/persons", "/person/u", "/error_tracking", "/logs", "/replay", "/warnings"),
    *("/llm_analytics", "/llm_analytics/a", "/api/projects/1/events?after=x"),
]
_ATOMS: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 10**20, 2**63, 10**400, "", "a", "null", "phc_a", "\0"),
    *("2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", "\ud800", "é" * 300),
    *([], {}, [[]], "00000000-0000-7000-8000-000000000001"),
]
_WORDS = [
    "api_key",
    "token",
    "event",
    "distinct_id",
    "properties",
    "timestamp",
    "uuid",
    "offset",
    "sent_at",
    "batch",
    "$set",
    "$set_once",
    "$unset",
    "$anon_distinct_id",
    "alias",
    "$groups",
    "$group_type",
    "$group_key",
    "$group_set",
    "$process_person_profile",
    "type",
    "value",
    "$exception_list",
    "stacktrace",
    "frames",
    "mechanism",
    "handled",
    "function",
    "filename",
    "in_app",
    "lineno",
    "pre_context",
    "$exception_fingerprint",
    "$ai_trace_id",
    "$ai_model",
    "$ai_input_tokens",
    "$session_id",
    "$snapshot_data",
    "data",
    "cv",
    "created_at",
    "options",
    "groups",
    "person_properties",
    "flag_keys",
    "$device_id",
    "resourceLogs",
    "scopeLogs",
    "logRecords",
    "body",
    "stringValue",
    "attributes",
    "key",
    "intValue",
    "arrayValue",
    "values",
    "resourceSpans",
    "scopeSpans",
    "spans",
    "spanId",
    "startTimeUnixNano",
    "timeUnixNano",
]
_EVENTS = [
    "e",
    "$identify",
    "$create_alias",
    "$merge_dangerously",
    "$groupidentify",
    "$exception",
    "$ai_generation",
    "$ai_span",
    "$set",
    "$pageview",
    "$snapshot",
    "$performance_event",
]
_HEADERS = {
    "authorization": "Bearer phc_a",
    "content-type": "application/json",
    "posthog-sdk-info": "fuzz/1",
    "posthog-attempt": "1",
    "posthog-request-id": "x",
    "posthog-request-timestamp": "2026-01-01T00:00:00Z",
}


class Nonsense:
    """Random requests from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def request(self) -> tuple[str, str, bytes | None, dict[str, str]]:
        """Method, path, body and headers."""
        if self._random.random() < 0.25:
            return "GET", self._random.choice(_READ), None, {}
        body, encoding = self._packed(json.dumps(self._document()).encode())
        headers = {**_HEADERS, "content-encoding": encoding} if encoding else _HEADERS
        return "POST", self._random.choice(_POSTED), body, headers

    def _document(self) -> Any:
        shape = self._random.random()
        if shape < 0.2:
            return self._value(0)
        events = [self._event() for _ in range(self._random.randint(0, 4))]
        if shape < 0.5:
            return {"api_key": "phc_a", "batch": events}
        return events if shape < 0.6 else self._event()

    def _event(self) -> dict[str, Any]:
        sound = {
            "event": self._random.choice(_EVENTS),
            "distinct_id": self._random.choice(["u", "v", "w", 1, "null"]),
            "api_key": "phc_a",
        }
        event = sound if self._random.random() < 0.8 else {}
        return {
            **event,
            "properties": {"$session_id": "s", **self._object(6, 1)},
            **self._object(2, 0),
        }

    def _object(self, most: int, depth: int) -> dict[str, Any]:
        size = self._random.randint(0, most)
        return {self._random.choice(_WORDS): self._value(depth) for _ in range(size)}

    def _value(self, depth: int) -> Any:
        kind = self._random.random()
        if depth > 4 or kind < 0.5:
            return self._random.choice(_ATOMS)
        if kind < 0.6:
            return self._random.choice(_EVENTS)
        if kind < 0.75:
            return [self._value(depth + 1) for _ in range(self._random.randint(0, 3))]
        return self._object(5, depth + 1)

    def _packed(self, body: bytes) -> tuple[bytes, str]:
        zipped = gzip.compress(body, 1)
        cut = self._random.randint(0, len(body))
        packings = [
            *((zipped, ""), (zipped, "gzip"), (zipped[: -self._random.randint(1, 12)], "")),
            *((base64.b64encode(body), "base64"), (zlib.compress(body), "deflate")),
            *((body[:cut], ""), (self._random.randbytes(30), ""), (b"data=" + body, "")),
            *((body, "lz64"), (body, "br"), (body, "gzip")),
        ]
        return self._random.choice(packings) if self._random.random() < 0.4 else (body, "")


def fuzz(local: PostHogLocal, seed: int, requests: int) -> None:
    nonsense = Nonsense(seed)
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    local.set_flag("kept", definition={"ensure_experience_continuity": True})
    local.set_flag("odd", properties=[{"key": "value", "operator": "is_date_before", "value": "a"}])
    for _ in range(requests):
        method, path, body, headers = nonsense.request()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status in _DOCUMENTED, (seed, response.status, method, path, body, headers)
    connection.close()


def test_no_request_makes_an_internal_error(local: PostHogLocal) -> None:
    fuzz(local, seed=1, requests=2500)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_request_of_very_many_makes_an_internal_error(local: PostHogLocal) -> None:
    fuzz(local, seed=random.randrange(2**32), requests=100_000)

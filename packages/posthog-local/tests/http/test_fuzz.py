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
from urllib.parse import urlencode, urlsplit

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
import zstandard

from posthog_local.testing import PostHogLocal

_DOCUMENTED = {200, 201, 202, 204, 302, 303, 304, 400, 401, 404, 405, 409, 413, 415}
# What SDKs call: whatever is refused there leaves a warning.
_SENT = [
    *("/batch/", "/i/v0/e/", "/e/", "/capture", "/track", "/engage/", "/s/", "/i/v0/ai/batch"),
    *("/i/v1/analytics/events", "/flags", "/flags/?v=2", "/flags/?v=4&config=true"),
    *("/decide/?v=3", "/i/v1/logs", "/i/v0/ai/otel", "/i/v0/ai/otel/v1/logs", "/i/v0/ai"),
    *("/i/v1/metrics", "/v1/traces"),
]
_WRITTEN = [
    *(("POST", "/api/projects/1/feature_flags"), ("PATCH", "/api/projects/1/feature_flags/1")),
    *(("POST", "/api/projects/1/cohorts"), ("PATCH", "/api/projects/1/cohorts/1")),
    *(
        ("POST", "/api/projects/1/logs/query"),
        ("POST", "/api/projects/1/persons/u/update_property"),
    ),
    *(
        ("POST", "/api/projects/1/persons/u/delete_property"),
        ("DELETE", "/api/projects/1/persons/w"),
    ),
    *(("PATCH", "/api/projects/1/error_tracking/issues/x"), ("PUT", "/_local/flags/put")),
    *(("PUT", "/_local/flags"), ("DELETE", "/api/projects/1/feature_flags/1")),
]
_FORMS = ["/feature_flags/save", "/feature_flags/toggle", "/cohorts/save", "/saved/save"]
_READ = [
    *("/flags/definitions?send_cohorts", "/array/phc_a/config", "/static/x.js", "/api/surveys"),
    *("/_local/events", "/_local/timeline", "/_local/issues", "/_local/persons", "/_local/flags"),
    *("/_local/warnings", "/_local/logs", "/_local/recordings", "/_local/recordings/s"),
    *("/activity", "/persons", "/person/u", "/person/%00", "/error_tracking", "/logs", "/replay"),
    *("/replay/s", "/replay/s/events.json", "/warnings", "/settings", "/llm_analytics"),
    *("/llm_analytics/a", "/feature_flags", "/feature_flags/kept", "/cohorts", "/cohorts/1"),
    *("/saved", "/insights", "/funnels", "/sql", "/_assets/style.css", "/_local/ready"),
    *("/api/users/@me", "/api/organizations/x", "/api/projects", "/api/projects/1"),
    *(f"/api/projects/1/{one}" for one in (
        "feature_flags", "feature_flags/1", "feature_flags/my_flags", "cohorts", "persons",
        "persons/u", "events", "events/x", "groups", "groups/find", "groups_types",
        "error_tracking/issues", "session_recordings", "session_recordings/s/snapshots",
        "feature_flags/evaluation_reasons", "feature_flags/kept/remote_config")),
]  # fmt: skip
_PARAMETERS = [
    *("distinct_id", "event", "limit", "offset", "after", "before", "uuid", "kind", "search"),
    *("severity", "service_name", "trace_id", "group_type_index", "group_key", "groups", "email"),
    *("step", "window", "days", "interval", "math", "breakdown", "source", "count", "wait", "v"),
]
_TEXTS = ["", "u", "0", "1", "-1", "9" * 30, "x", "\0", "é", "2026-01-01", "true", "{}", "[1]", "%"]
_SQL = [
    *("SELECT", "count()", "*", "event", "properties.a", "person.properties.b", "FROM", "events"),
    *(
        "persons",
        "WHERE",
        "GROUP BY",
        "LIMIT",
        "5",
        "'x'",
        "(",
        ")",
        "=",
        ",",
        "AS",
        "toDate(",
        "{a}",
    ),
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


_Request = tuple[str, str, bytes | None, dict[str, str]]


_FORM_TYPE = "multipart/form-data; boundary=b"


class Nonsense:
    """Random requests from one seed; `key` opens the API."""

    def __init__(self, seed: int, key: str) -> None:
        self._random = random.Random(seed)
        self._key = {"authorization": f"Bearer {key}"}

    def request(self) -> _Request:
        """Method, path, body and headers."""
        kind = self._random.random()
        if kind < 0.2:
            path = self._random.choice(_READ) + "?" + self._query()
            return "GET", path, None, self._key if self._random.random() < 0.9 else {}
        if kind < 0.3:
            return self._written()
        if kind < 0.31:
            return self._sql()
        path = self._random.choice(_SENT)
        if path == "/i/v0/ai":
            return self._form()
        body, encoding = self._packed(json.dumps(self._document()).encode())
        headers = {**_HEADERS, "content-encoding": encoding} if encoding else _HEADERS
        return "POST", path, body, headers

    def _written(self) -> _Request:
        if self._random.random() < 0.3:
            fields = {
                name: self._random.choices(_TEXTS, k=self._random.randint(0, 3))
                for name in ("key", "name", "kind", "rollout", "condition_key", "condition_value",
                             "condition_operator", "condition_set", "variant_key", "variant_share",
                             "definition", "distinct_ids", "address", "number", "cohort")
            }  # fmt: skip
            return "POST", self._random.choice(_FORMS), urlencode(fields, doseq=True).encode(), {}
        method, path = self._random.choice(_WRITTEN)
        return method, path, json.dumps(self._document()).encode(), self._key

    def _sql(self) -> _Request:
        words = self._random.choices(_SQL, k=self._random.randint(1, 12))
        text = " ".join(["SELECT", *words] if self._random.random() < 0.8 else words)
        query = {
            "kind": "HogQLQuery",
            "query": text,
            "values": {"a": self._random.choice([1, "x"])},
        }
        return "POST", "/api/projects/1/query", json.dumps({"query": query}).encode(), self._key

    def _form(self) -> _Request:
        names = ["event", "event.properties", "event.properties.a", "other", ""]
        parts = [
            b'--b\r\nContent-Disposition: form-data; name="%s"\r\nContent-Type: %s\r\n\r\n%s\r\n'
            % (
                self._random.choice(names[: number + 1]).encode(),
                self._random.choice([b"application/json", b"text/plain", b"x"]),
                json.dumps(self._event() if number == 0 else self._object(3, 1)).encode(),
            )
            for number in range(self._random.randint(0, 4))
        ]
        body = b"".join(parts) + b"--b--"
        cut = self._random.randint(0, len(body)) if self._random.random() < 0.2 else len(body)
        return "POST", "/i/v0/ai", body[:cut], {**_HEADERS, "content-type": _FORM_TYPE}

    def _query(self) -> str:
        size = self._random.randint(0, 3)
        return urlencode(
            [(self._random.choice(_PARAMETERS), self._random.choice(_TEXTS)) for _ in range(size)]
        )

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
            *((body, "lz64"), (body, "br"), (body, "gzip"), (body, "zstd"), (body, "odd")),
            *((brotli.compress(body), "br"), (zstandard.compress(body), "zstd")),
        ]
        return self._random.choice(packings) if self._random.random() < 0.4 else (body, "")


def fuzz(local: PostHogLocal, seed: int, requests: int) -> None:
    nonsense = Nonsense(seed, local.personal_api_key)
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=60)
    local.set_flag("kept", definition={"ensure_experience_continuity": True})
    local.set_flag("odd", properties=[{"key": "value", "operator": "is_date_before", "value": "a"}])
    for number in range(requests):
        method, path, body, headers = nonsense.request()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status in _DOCUMENTED, (seed, response.status, method, path, body, headers)
        if response.status >= 400 and path in _SENT and number % 10 == 0:
            [warning] = local.request("GET", "/_local/warnings?kind=request_refused&limit=1")[
                "warnings"
            ]
            assert warning["details"]["status"] == response.status, (seed, path, body)
            assert warning["details"]["path"] == path.partition("?")[0]
            assert warning["details"]["reason"]
    connection.close()


def test_no_request_makes_an_internal_error(local: PostHogLocal) -> None:
    fuzz(local, seed=1, requests=2500)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_request_of_very_many_makes_an_internal_error(local: PostHogLocal) -> None:
    fuzz(local, seed=random.randrange(2**32), requests=100_000)

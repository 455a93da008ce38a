"""Log records: what they mean, and that they reach the person's timeline."""

from __future__ import annotations

import gzip
import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from posthog_local.logs.record import LogRecord, log_record
from posthog_local.otlp.request import OtlpItem
from posthog_local.testing import PostHogLocal

_NOW = 1_767_225_600_000_000


def record(resource: dict[str, Any] | None = None, **fields: Any) -> LogRecord:
    item = OtlpItem(resource=resource or {}, scope_name="s", scope_version="2", record=fields)
    return log_record(item, _NOW)


def attributes(**values: str) -> list[dict[str, Any]]:
    return [
        {"key": name.replace("__", "."), "value": {"stringValue": value}}
        for name, value in values.items()
    ]


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"severityNumber": 1}, "trace"),
        ({"severityNumber": 8}, "debug"),
        ({"severityNumber": 9, "severityText": "ERROR"}, "info"),
        ({"severityNumber": 13}, "warn"),
        ({"severityNumber": 20}, "error"),
        ({"severityNumber": 24}, "fatal"),
        ({"severityNumber": 99, "severityText": "Warning"}, "warn"),
        ({"severityText": "CRITICAL"}, "fatal"),
        ({"severityText": "odd", "body": {"stringValue": '{"level":"error"}'}}, "error"),
        ({"body": {"stringValue": "{broken"}}, "info"),
        ({}, "info"),
    ],
)
def test_severity(fields: dict[str, Any], severity: str) -> None:
    assert record(**fields).severity == severity


def test_time_is_kept_within_a_day_and_remembered_beyond() -> None:
    near = record(timeUnixNano=str((_NOW - 5) * 1000))
    assert (near.timestamp_us, near.attributes) == (_NOW - 5, {})
    far = record(timeUnixNano="1000")
    assert (far.timestamp_us, far.attributes) == (_NOW, {"$originalTimestamp": 1000})
    assert record().timestamp_us == _NOW


def test_whose_line_it_is() -> None:
    line = record(attributes=attributes(posthogDistinctId="u", http__session__id="s"))
    assert (line.distinct_id, line.session_id) == ("u", "s")
    by_resource = record({"posthogDistinctId": "r", "sessionId": "t", "service.name": "shop"})
    assert (by_resource.distinct_id, by_resource.session_id) == ("r", "t")
    assert by_resource.service_name == "shop"
    assert by_resource.scope == "s@2"


def post(local: PostHogLocal, body: bytes, **headers: str) -> tuple[int, Any]:
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("POST", "/i/v1/logs", body, named)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def request_of(*lines: dict[str, Any]) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": list(lines)}]}]}).encode()


def test_lines_are_stored_searched_and_on_the_timeline(local: PostHogLocal) -> None:
    token = f"Bearer {local.project_token}"
    event = b'{"api_key":"phc_a","event":"seen","distinct_id":"u"}'
    address = urlsplit(local.url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=10)
    connection.request("POST", "/e/", event)
    connection.getresponse().read()
    connection.close()
    lines = request_of(
        {"body": {"stringValue": "Payment failed"}, "severityNumber": 17,
         "attributes": attributes(posthogDistinctId="u")},
        {"body": {"stringValue": "fine"}, "severityNumber": 9},
    )  # fmt: skip
    assert post(local, gzip.compress(lines), authorization=token) == (200, {})
    assert [one["body"] for one in local.logs(search="payment")] == ["Payment failed"]
    assert [one["body"] for one in local.logs(severity="info")] == ["fine"]
    kinds = {one["kind"]: one for one in local.timeline("u")}
    assert kinds["log"]["body"] == "Payment failed"
    assert kinds["event"]["event"] == "seen"


def test_refusals(local: PostHogLocal) -> None:
    assert post(local, b"{}")[0] == 401
    token = f"Bearer {local.project_token}"
    assert post(local, b"nonsense", authorization=token)[0] == 400
    assert post(local, b"{}", authorization=token, content_encoding="compress")[0] == 415
    local.add_fault("/i/v1/logs", quota_limited=True)
    assert post(local, b"{}", authorization=token)[0] == 429

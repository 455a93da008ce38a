from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_convex.destination import Destination
from posthog_convex.logs import (
    MAX_BODY_BYTES,
    BodyTooLarge,
    Deployment,
    Link,
    LogRecord,
    Resource,
    Severity,
    as_printed,
    logs_body,
    logs_headers,
    parse_event,
    record_of,
    trace_id_of,
)
from posthog_convex.logs.events import NoEvent
from posthog_convex.logs.record import MAX_BODY
from pyconvex import runlog
from pyconvex.runlog import traces

FUNCTION = {
    "path": "cart:checkout",
    "type": "mutation",
    "cached": None,
    "request_id": "r1",
    "mutation_queue_length": 1,
    "mutation_retry_count": 0,
    "component_path": "shop/mail",
}


def made(event: dict[str, Any], link: Link | None = None) -> LogRecord:
    return record_of(*parse_event(json.dumps(event)), link or Link())


def console(**changes: Any) -> dict[str, Any]:
    event = {
        "topic": "console",
        "timestamp": 1_000,
        "function": FUNCTION,
        "log_level": "INFO",
        "message": "ready",
        "is_truncated": False,
        "system_code": None,
    }
    return event | changes


@pytest.mark.parametrize(
    ("level", "severity"),
    [("ERROR", 17), ("WARN", 13), ("INFO", 9), ("LOG", 9), ("DEBUG", 5), ("ODD", 9)],
)
def test_severities_are_convexs(level: str, severity: int) -> None:
    assert made(console(log_level=level)).severity == severity


def test_the_message_is_the_body_and_everything_else_an_attribute() -> None:
    record = made(console())
    assert record.body == "ready"
    assert record.attributes == {
        "convex.topic": "console",
        "convex.function.path": "cart:checkout",
        "convex.function.type": "mutation",
        "convex.function.mutation_queue_length": 1,
        "convex.function.mutation_retry_count": 0,
        "convex.component.path": "shop/mail",
        "convex.request_id": "r1",
        "convex.log_level": "INFO",
        "convex.is_truncated": False,
    }
    assert record.trace_id == trace_id_of("r1")


def test_whose_it_is_comes_from_the_link_alone() -> None:
    link = Link(
        id="e1", ts_ms=999.125, trace_id="ab" * 16, distinct_id="ada", session_id="s1",
        execution_id="x1",
    )  # fmt: skip
    record = made(console(), link)
    assert record.attributes["posthogDistinctId"] == "ada"
    assert record.attributes["sessionId"] == "s1"
    assert record.attributes["log.record.uid"] == "e1"
    assert record.attributes["convex.execution_id"] == "x1"
    assert record.trace_id == "ab" * 16
    assert json.loads(bytes(record.json()))["timeUnixNano"] == "999125000"
    nobodys = made(console()).attributes
    assert not {"posthogDistinctId", "sessionId"} & nobodys.keys()


def test_an_execution_tells_how_it_went_in_numbers() -> None:
    record = made(
        {
            "topic": "function_execution",
            "timestamp": 2_000,
            "function": FUNCTION,
            "execution_time_ms": 14,
            "user_execution_time_ms": None,
            "status": "failure",
            "error_message": "Uncaught Error: no\n    at f (a.ts:1:2)",
            "occ_info": {"table_name": "carts", "retry_count": 2},
            "will_retry": False,
            "scheduler_info": {"job_id": "j1"},
            "run_reason": "cron",
            "usage": {"database_read_bytes": 12, "action_memory_used_mb": None},
        }
    )
    assert record.severity is Severity.ERROR
    assert record.body == "mutation cart:checkout failed: Uncaught Error: no"
    said = {one["key"]: one["value"] for one in json.loads(bytes(record.json()))["attributes"]}
    assert said["convex.execution_time_ms"] == {"intValue": "14"}
    assert said["convex.will_retry"] == {"boolValue": False}
    assert said["convex.usage.database_read_bytes"] == {"intValue": "12"}
    assert said["convex.occ.table_name"] == {"stringValue": "carts"}
    assert said["convex.scheduler.job_id"] == {"stringValue": "j1"}
    assert said["convex.run_reason"] == {"stringValue": "cron"}
    assert said["convex.error_message"]["stringValue"].endswith("(a.ts:1:2)")
    assert "convex.user_execution_time_ms" not in said


@pytest.mark.parametrize(
    ("changes", "body", "severity"),
    [
        ({"status": "success", "execution_time_ms": 5}, "query a:b returned in 5 ms", 9),
        ({"status": "success", "will_retry": True}, "query a:b met a conflict and runs again", 9),
        (
            {"status": "success", "function": {"path": "a:b", "type": "query", "cached": True}},
            "query a:b returned from the cache",
            9,
        ),
    ],
)
def test_what_an_execution_reads_like(changes: dict[str, Any], body: str, severity: int) -> None:
    event = {"topic": "function_execution", "timestamp": 1}
    function = {"function": {"path": "a:b", "type": "query"}}
    record = made(event | function | changes)
    assert (record.body, record.severity) == (body, severity)


def test_topics_have_convexs_names_for_posthog() -> None:
    audit = {
        "topic": "audit_log",
        "timestamp": 1,
        "audit_log_action": "push_config",
        "audit_log_metadata": '{"a":1}',
    }
    record = made(audit)
    assert record.body == "push_config"
    assert record.attributes["convex.topic"] == "deployment_audit_log"
    assert record.attributes["convex.audit_log_metadata"] == '{"a":1}'


def test_what_was_dropped_is_told_as_a_warning() -> None:
    record = made(
        {
            "topic": "log_stream_events_dropped",
            "timestamp": 1,
            "dropped_events": 12,
            "total_dropped_events": 20,
            "reason": "swept",
        }
    )
    assert (record.body, record.severity) == ("12 events were dropped: swept", Severity.WARN)
    assert record.attributes["convex.total_dropped_events"] == 20


def test_topics_of_tomorrow_keep_their_fields() -> None:
    record = made({"topic": "new", "timestamp": 1, "count": 3, "nested": {"a": [1]}, "no": None})
    assert record.body == 'new {"count":3,"nested":{"a":[1]}}'
    assert record.attributes == {
        "convex.topic": "new",
        "convex.count": 3,
        "convex.nested": '{"a":[1]}',
    }


def test_what_is_no_event_says_so() -> None:
    with pytest.raises(NoEvent):
        parse_event("{}")


def test_large_numbers_and_texts_keep_within_otlp() -> None:
    record = made(console(message="x" * 100_000, big=2**70, rate=0.5))
    otlp = json.loads(bytes(record.json()))
    assert len(otlp["body"]["stringValue"]) == MAX_BODY
    said = {one["key"]: one["value"] for one in otlp["attributes"]}
    assert said["convex.big"] in ({"stringValue": str(2**70)}, {"doubleValue": float(2**70)})
    assert said["convex.rate"] == {"doubleValue": 0.5}


@given(st.integers(0, 2**42), st.integers(0, 999))
def test_times_are_exact_to_the_microsecond(ms: int, us: int) -> None:
    record = made(console(), Link(ts_ms=ms + us / 1000))
    assert record.ts_ns == ms * 1_000_000 + us * 1_000


@given(st.text())
def test_traces_are_those_of_the_host(request_id: str) -> None:
    try:
        request_id.encode()
    except UnicodeEncodeError:
        return
    if request_id:
        assert trace_id_of(request_id) == traces.trace_id_of(request_id)


@given(st.text())
def test_a_text_reads_as_it_was_printed(text: str) -> None:
    line = runlog.LogLine("LOG", text, 0.0)
    assert as_printed(line.shown()) == text


@pytest.mark.parametrize("message", ["'a' 'b'", "'a", "{ a: 'b' }", "42", "", r"'a\' 'b'", "'"])
def test_what_is_no_single_text_stays(message: str) -> None:
    assert as_printed(message) == message


def test_javascripts_escapes() -> None:
    assert as_printed(r"'a\nb\x1b\\n'") == "a\nb\x1b" + r"\n"


SHOP = Resource(Deployment("happy-otter-1", "prod", None, None, None, "aws-us-east-1"))


def lines(count: int, size: int) -> list[LogRecord]:
    return [LogRecord(ts_ns=n, severity=Severity.INFO, body="x" * size) for n in range(count)]


def test_equal_records_make_equal_bytes_within_the_bound() -> None:
    body = logs_body([(SHOP, lines(40, 30_000))])
    assert body == logs_body([(SHOP, lines(40, 30_000))])
    assert len(gzip.decompress(body)) <= MAX_BODY_BYTES


def test_too_many_for_one_request_are_not_sent_as_one() -> None:
    with pytest.raises(BodyTooLarge, match="60 records"):
        logs_body([(SHOP, lines(60, 30_000))])


def test_the_resource_says_what_is_known_of_the_deployment() -> None:
    assert SHOP.as_attributes() == {
        "service.name": "happy-otter-1",
        "convex.deployment.name": "happy-otter-1",
        "convex.deployment.type": "prod",
        "convex.deployment.region": "aws-us-east-1",
    }
    assert Resource(Deployment("a"), "shop").as_attributes()["service.name"] == "shop"


def test_the_token_is_in_the_header_alone() -> None:
    headers = dict(logs_headers(Destination(" phc_1 "), "agent"))
    assert headers["Authorization"] == "Bearer phc_1"
    assert headers["Content-Encoding"] == "gzip"

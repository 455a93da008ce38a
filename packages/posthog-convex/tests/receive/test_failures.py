from __future__ import annotations

import json
from typing import Any

from webhook_requests import execution, failed, function

from posthog_convex.logs import parse_event, trace_id_of
from posthog_convex.receive.failures import error_event, failure


def made(event: dict[str, Any]) -> dict[str, Any] | None:
    parsed, _ = parse_event(json.dumps(event))
    found = failure(parsed)
    return None if found is None else dict(error_event(parsed, *found))


def test_a_failed_execution_becomes_an_error() -> None:
    event = made(failed(1_700_000_000_123, function=function(component_path="shop/mail")))
    assert event is not None
    properties = event["properties"]
    (entry,) = properties["$exception_list"]
    assert entry["type"] == "TypeError"
    assert entry["value"] == "Cannot read properties of undefined (reading 'price')"
    assert [(f["function"], f["lineno"], f["colno"]) for f in entry["stacktrace"]["frames"]] == [
        ("handler", 41, 20),
        ("total", 12, 9),
    ]
    assert properties["convex_function"] == "cart:checkout"
    assert properties["convex_component"] == "shop/mail"
    assert properties["convex_run_reason"] == "webSocket"
    assert properties["convex_deployment"] == "happy-otter-123"
    assert properties["$trace_id"] == trace_id_of("7c2e6f4c9d0b1a35")
    assert event["timestamp"] == "2023-11-14T22:13:20.123Z"


def test_it_is_nobodys_and_one_request_is_one_id() -> None:
    event = made(failed(1))
    assert event is not None
    assert event["distinct_id"] == "7c2e6f4c9d0b1a35"
    assert event["properties"]["$process_person_profile"] is False


def test_the_same_execution_is_the_same_event_and_another_is_not() -> None:
    again, other = made(failed(1)), made(failed(1, function=function(path="cart:other")))
    assert made(failed(1)) == again
    assert again is not None
    assert other is not None
    assert again["uuid"] != other["uuid"]


def test_attempts_that_run_again_and_successes_are_no_errors() -> None:
    assert made(execution(1)) is None
    assert made(failed(1, will_retry=True)) is None


def test_the_data_of_a_convex_error_comes_along() -> None:
    event = made(
        failed(1, 'Uncaught ConvexError: {"code":"SOLD_OUT"}\n    at f (../convex/a.ts:1:2)')
    )
    assert event is not None
    assert event["properties"]["convex_error_data"] == {"code": "SOLD_OUT"}
    assert event["properties"]["$exception_list"][0]["mechanism"]["handled"] is True

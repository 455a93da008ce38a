"""Exceptions resolved, fingerprinted and grouped."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any
from urllib.request import urlopen
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.errors.exception import ProcessedException, process
from posthog_local.testing import PostHogLocal


def frame(function: str, *, in_app: bool = True, **rest: Any) -> dict[str, Any]:
    return {
        "platform": "python",
        "filename": "shop/orders.py",
        "function": function,
        "lineno": 7,
        "in_app": in_app,
        **rest,
    }


def exception(kind: str = "ValueError", value: str = "bad", *frames: Any, **rest: Any) -> Any:
    stack = {"stacktrace": {"type": "raw", "frames": list(frames)}} if frames else {}
    return {"type": kind, "value": value, **stack, **rest}


def run(*exceptions: Any, **properties: Any) -> ProcessedException:
    numbers = itertools.count()
    return process(
        {"$exception_list": list(exceptions), **properties}, lambda: f"id-{next(numbers)}"
    )


def test_a_python_exception_is_resolved_and_described() -> None:
    mechanism = {"type": "generic", "handled": True}
    result = run(
        exception(
            "ValueError",
            "bad",
            frame("outer", in_app=False),
            frame("place_order"),
            mechanism=mechanism,
        ),
        exception("KeyError", "'x'"),
    )
    properties = result.properties
    assert properties["$exception_types"] == ["ValueError", "KeyError"]
    assert properties["$exception_values"] == ["bad", "'x'"]
    assert properties["$exception_sources"] == ["shop/orders.py"]
    assert properties["$exception_functions"] == ["place_order"]
    assert properties["$exception_handled"] is True
    stack = properties["$exception_list"][0]["stacktrace"]
    assert stack["type"] == "resolved"
    assert stack["frames"][1]["resolved_name"] == "place_order"
    assert stack["frames"][1]["line"] == 7
    assert (result.name, result.description) == ("ValueError", "bad")


def test_the_fingerprint_is_type_and_all_frames_whoever_wrote_them() -> None:
    library = frame("call", in_app=False, module="wsgi.app")
    first = run(exception("E", "order 1", library, frame("place_order")))
    expected = hashlib.sha512(b"Eorders.pywsgi.appcallorders.pyplace_order").hexdigest()
    assert first.fingerprint == expected
    assert first.properties["$exception_fingerprint_version"] == "v2"
    _, called, placed = first.properties["$exception_fingerprint_record"]
    assert called["pieces"] == ["Source file name", "Module name", "Resolved function name"]
    assert placed["pieces"] == ["Source file name", "Resolved function name"]
    elsewhere = frame("place_order", lineno=9, filename="/srv/8f31/shop/orders.py")
    other = run(exception("E", "order 2", {**library, "in_app": True}, elsewhere))
    assert other.fingerprint == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timeout after 30s (attempt 2)", "timeout after 4.5s (attempt 71)"),
        ("no 'userName' here", 'no "accountId" here'),
        (f"job {UUID(int=7)} at 0x7f31 lost", f"job {UUID(int=8)} at 0xabc lost"),
        ("x" * 200 + "a", "x" * 200 + "b"),
    ],
)
def test_without_a_stack_the_message_counts_but_for_what_differs_from_call_to_call(
    one: str, other: str
) -> None:
    assert run(exception("E", "a")).fingerprint == hashlib.sha512(b"Ea").hexdigest()
    assert run(exception("E", "a")).fingerprint != run(exception("E", "b")).fingerprint
    assert run(exception("E", one)).fingerprint == run(exception("E", other)).fingerprint


def test_an_empty_stack_is_one_and_the_message_does_not_count() -> None:
    empty = {"stacktrace": {"type": "raw", "frames": []}}
    results = [run(exception("Error", text, **empty)) for text in ("one", "two")]
    assert results[0].fingerprint == results[1].fingerprint
    assert results[0].properties["$exception_list"][0]["stacktrace"]["frames"] == []


def test_a_bundled_frame_stays_unresolved_and_its_place_does_not_count() -> None:
    raw = frame("t", platform="web:javascript", colno=5, filename="/a/app-8C3f99Ab.js?v=1")
    result = run(exception("E", "a", raw))
    resolved = result.properties["$exception_list"][0]["stacktrace"]["frames"][0]
    assert (resolved["resolved"], resolved["resolved_name"]) == (False, None)
    assert result.fingerprint == hashlib.sha512(b"Eapp-*.jstjavascript").hexdigest()


def test_a_frame_of_any_language_is_taken_by_its_word() -> None:
    convex = {"platform": "custom", "lang": "javascript", "filename": "a.ts", "function": "send"}
    lines = {"pre_context": ["near", "far"], "context_line": "boom()"}
    result = run(exception("E", "a", {**convex, **lines}, {**convex, "resolved": True}))
    unresolved, resolved = result.properties["$exception_list"][0]["stacktrace"]["frames"]
    assert (unresolved["resolved"], resolved["resolved"]) == (False, True)
    assert unresolved["resolved_name"] == resolved["resolved_name"] == "send"
    assert unresolved["resolve_failure"] is None
    assert unresolved["in_app"], "what a sender leaves out is the app's"
    assert unresolved["pre_context"] == ["far", "near"]


@pytest.mark.parametrize(
    ("raw", "in_app"),
    [
        ({"abs_path": "/app/.venv/lib/python3.12/site-packages/redis/client.py"}, False),
        ({"abs_path": "/usr/local/lib/python3.11/socket.py"}, False),
        ({"filename": "/usr/lib/python3/dist-packages/click/core.py"}, False),
        ({"filename": "functools.py", "module": "functools"}, False),
        ({"abs_path": "/app/logging/views.py", "module": "logging.views"}, True),
        ({"abs_path": "/app/<frozen runpy>", "module": "runpy"}, False),
        ({"filename": "shop.py", "module": "shop"}, True),
    ],
)
def test_pythons_library_and_installed_packages_are_not_the_apps_whatever_is_said(
    raw: dict[str, Any], in_app: bool
) -> None:
    result = run(exception("E", "a", frame("run", **raw)))
    assert result.properties["$exception_list"][0]["stacktrace"]["frames"][0]["in_app"] is in_app


def test_the_caller_may_choose_fingerprint_and_name() -> None:
    names = {"$exception_fingerprint": "mine", "$issue_name": "N", "$issue_description": "D"}
    result = run(exception(), **names)
    assert (result.fingerprint, result.name, result.description) == ("mine", "N", "D")
    long = run(exception(), **{"$exception_fingerprint": "x" * 65})
    assert long.fingerprint == hashlib.sha512(b"x" * 65).hexdigest()


def test_a_long_message_is_cut() -> None:
    result = run(exception("E", "x" * 10_001))
    assert result.properties["$exception_values"] == ["x" * 10_000 + "..."]


def test_an_empty_list_is_kept_with_its_reason() -> None:
    result = process({"$exception_list": []}, lambda: "id")
    assert result.fingerprint is None
    assert result.properties["$cymbal_errors"]


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "value",
                    "stacktrace",
                    "frames",
                    "filename",
                    "function",
                    "lineno",
                    "context_line",
                    "pre_context",
                    "in_app",
                    "platform",
                    "mechanism",
                ]
            ),
            inner,
        )
    ),
    max_leaves=15,
)


@given(_JSON)
def test_any_exception_list_is_processed(value: Any) -> None:
    json.dumps(process({"$exception_list": value}, lambda: "id").properties)
    json.dumps(process({"$exception_list": [value]}, lambda: "id").properties)


def send(local: PostHogLocal, distinct_id: str, *exceptions: Any) -> None:
    event = {
        "api_key": "phc_a",
        "event": "$exception",
        "distinct_id": distinct_id,
        "properties": {"$exception_list": list(exceptions)},
    }
    urlopen(local.url + "/i/v0/e/", json.dumps(event).encode()).close()


def test_occurrences_gather_in_issues(local: PostHogLocal) -> None:
    broken = exception("ValueError", "one", frame("place_order"))
    send(local, "u", broken)
    send(local, "v", {**broken, "value": "two"})
    send(local, "v", exception("KeyError", "other"))
    issues = {issue["name"]: issue for issue in local.issues()}
    assert issues.keys() == {"ValueError", "KeyError"}
    assert (issues["ValueError"]["occurrences"], issues["ValueError"]["persons"]) == (2, 2)
    assert issues["ValueError"]["description"] == "one"
    event = local.events("$exception", "u")[0]
    assert event["properties"]["$exception_issue_id"] == issues["ValueError"]["id"]
    assert local.timeline("u")[0]["kind"] == "exception"


def set_status(local: PostHogLocal, issue_id: str, status: str) -> None:
    body = f"id={issue_id}&status={status}".encode()
    urlopen(local.url + "/error_tracking/status", body).close()


def test_a_resolved_issue_reopens_and_a_suppressed_one_takes_nothing(local: PostHogLocal) -> None:
    send(local, "u", exception())
    issue = local.issues()[0]
    set_status(local, issue["id"], "resolved")
    assert local.issues()[0]["status"] == "resolved"
    send(local, "u", exception())
    assert local.issues()[0]["status"] == "active"
    set_status(local, issue["id"], "suppressed")
    send(local, "u", exception())
    assert local.issues()[0]["occurrences"] == 2
    assert local.warnings()[0]["kind"] == "exception_of_suppressed_issue"

"""Spans of the app's own, generations reported by hand, and spans in queries and mutations."""

from __future__ import annotations

import json

import pytest
from traced import Deployment, Traces, tree

from pyconvex.runlog.traces import trace_id_of


def test_a_span_in_a_query_has_the_functions_that_ran_below_it(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("query", "by_hand:rank", {"text": "abc"})
    events = traces.of(trace, 3)
    assert tree(events) == ("$ai_trace by_hand:rank\n  $ai_span rank\n  $ai_span by_hand:inner")
    # The function's clock stands still, the span's goes on.
    assert events[0]["properties"]["$ai_latency"] > 0
    # A result that is still true is no run: nothing is told again.
    deployment.call("query", "by_hand:rank", {"text": "abc"})
    assert len(traces.of(trace, 3)) == 3


def test_spans_of_a_mutation_that_rolls_back_arrive(deployment: Deployment, traces: Traces) -> None:
    request_id, _ = deployment.outcome("mutation", "by_hand:fail")
    events = traces.of(trace_id_of(request_id), 2)
    assert tree(events) == "$ai_trace by_hand:fail\n  $ai_span doomed"
    assert [event["properties"]["$ai_is_error"] for event in events] == [True, True]


def test_a_span_that_is_open_when_its_run_returns_is_sent_as_it_stands(
    deployment: Deployment, traces: Traces
) -> None:
    [_, span] = traces.of(deployment.call("action", "by_hand:leave_open"), 2)
    assert span["properties"]["$ai_span_name"] == "stream"
    assert span["properties"]["pyconvex.open"] is True


def test_a_generation_reported_by_hand(deployment: Deployment, traces: Traces) -> None:
    events = traces.of(deployment.call("action", "by_hand:captured"), 2)
    event = events[0]  # it began before the function that reports it
    assert (event["event"], event["distinct_id"]) == ("$ai_generation", "ada")
    call = event["properties"]
    assert call["$ai_input"] == [{"role": "user", "content": "soft?"}]
    assert call["$ai_output_choices"] == [{"role": "assistant", "content": "yes"}]
    assert call["$ai_latency"] == pytest.approx(1.25)
    assert call["$ai_total_cost_usd"] == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    assert call["plan"] == "pro"


def test_a_failed_generation_in_a_mutation(deployment: Deployment, traces: Traces) -> None:
    trace = deployment.call("mutation", "by_hand:captured_in_mutation")
    event = next(e for e in traces.of(trace, 2) if e["event"] == "$ai_generation")
    assert event["distinct_id"] == "grace"
    assert event["properties"]["$ai_error"] == "TimeoutError: too slow"
    assert event["properties"]["$ai_input"] == [{"role": "user", "content": "soft?"}]


def test_functions_without_a_model_leave_no_event(deployment: Deployment, traces: Traces) -> None:
    quiet = deployment.call("query", "models:plain")
    traces.of(deployment.call("action", "by_hand:captured"), 2)  # sent after it
    assert quiet not in json.dumps(traces.local.events())


def test_what_an_action_called_before_it_asked_a_model_is_in_the_trace(
    deployment: Deployment, traces: Traces
) -> None:
    quiet = deployment.call("action", "by_hand:prepares", {"asks": False})
    trace = deployment.call("action", "by_hand:prepares", {"asks": True})
    events = traces.of(trace, 5)
    assert tree(events) == (
        "$ai_trace by_hand:prepares\n"
        "  $ai_span by_hand:inner\n"
        "  $ai_span by_hand:fails_quietly\n"
        "  $ai_generation chat m\n"
        "  $ai_span by_hand:inner"
    )
    assert {event["distinct_id"] for event in events} == {"ada"}
    (failed,) = [e for e in events if e["properties"]["$ai_span_name"] == "by_hand:fails_quietly"]
    assert failed["properties"]["$ai_is_error"] is True
    assert failed["properties"]["convex.kind"] == "mutation"
    assert quiet not in json.dumps(traces.local.events())

"""Anthropic's official client, traced by the instrumentation of OpenLLMetry, in functions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_server import COMPLETION_TOKENS, PROMPT_TOKENS
from traced import Deployment, Traces, tree


def generation(events: list[dict[str, Any]]) -> dict[str, Any]:
    (call,) = [e["properties"] for e in events if e["event"] == "$ai_generation"]
    return call


def test_a_message_is_a_generation(deployment: Deployment, traces: Traces) -> None:
    trace = deployment.call("action", "models:claude", {"text": "say bonjour"})
    assert deployment.value == "bonjour"
    events = traces.of(trace, 2)
    head, call = tree(events).splitlines()
    assert head == "$ai_trace models:claude"
    assert call.startswith("  $ai_generation ")
    properties = events[1]["properties"]
    assert properties["$ai_model"] == "claude-sonnet-4-5"
    assert properties["$ai_provider"].lower() == "anthropic"
    assert properties["$ai_input_tokens"] == PROMPT_TOKENS
    assert properties["$ai_output_tokens"] == COMPLETION_TOKENS
    assert properties["$ai_total_cost_usd"] > 0
    assert "bonjour" in json.dumps(properties["$ai_output_choices"])


def test_an_error(deployment: Deployment, traces: Traces) -> None:
    from pyconvex.runlog.traces import trace_id_of

    request_id, outcome = deployment.outcome("action", "models:claude", {"text": "fail 400"})
    assert "BadRequestError" in outcome.message
    events = traces.of(trace_id_of(request_id), 2)
    assert [event["properties"]["$ai_is_error"] for event in events] == [True, True]


@pytest.mark.parametrize("function", ["claude_streamed", "claude_stream_helper"])
def test_a_stream_is_one_generation_with_all_that_came(
    deployment: Deployment, traces: Traces, function: str
) -> None:
    trace = deployment.call("action", f"models:{function}", {"text": "say one two three"})
    assert deployment.value.split() == ["one", "two", "three"]
    call = generation(traces.of(trace, 2))
    assert "one two three" in json.dumps(call["$ai_output_choices"])
    assert "say one two three" in json.dumps(call["$ai_input"])
    # The instrumentation adds up what the first event of a stream says and what the last one does.
    assert call["$ai_output_tokens"] == 1 + COMPLETION_TOKENS


def test_a_blocking_client_in_a_blocking_action(deployment: Deployment, traces: Traces) -> None:
    trace = deployment.call("action", "models:claude_blocking", {"text": "say ciao"})
    assert deployment.value == "ciao"
    events = traces.of(trace, 2)
    assert tree(events).splitlines()[0] == "$ai_trace models:claude_blocking"
    assert "ciao" in json.dumps(generation(events)["$ai_output_choices"])


def test_the_use_of_a_tool_is_what_came_out(deployment: Deployment, traces: Traces) -> None:
    text = 'call price_of {"product": "hat"}'
    trace = deployment.call("action", "models:claude_with_tools", {"text": text})
    assert deployment.value == {"tool": "price_of", "input": {"product": "hat"}}
    call = generation(traces.of(trace, 2))
    assert "price_of" in json.dumps(call["$ai_output_choices"])
    assert "hat" in json.dumps(call["$ai_output_choices"])


def test_privacy_mode_leaves_tokens_and_takes_what_was_said(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:claude_private", {"text": "say secretive"})
    assert deployment.value == "secretive"
    events = traces.of(trace, 2)
    assert "secretive" not in json.dumps(events)
    assert generation(events)["$ai_input_tokens"] == PROMPT_TOKENS

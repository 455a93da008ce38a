"""Anthropic's official client, traced by the instrumentation of OpenLLMetry, in functions."""

from __future__ import annotations

import json

from model_server import COMPLETION_TOKENS, PROMPT_TOKENS
from traced import Deployment, Traces, tree


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

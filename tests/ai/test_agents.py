"""Agents of pydantic-ai in actions: one trace, with the functions that their tools run."""

from __future__ import annotations

import json

from model_server import COMPLETION_TOKENS
from traced import Deployment, Traces, tree


def test_a_run_of_an_agent_is_one_trace(deployment: Deployment, traces: Traces) -> None:
    text = 'call price_of {"product": "hat"}'
    trace = deployment.call("action", "agents:support", {"text": text})
    assert deployment.value == "The tool said 12.5"
    events = traces.of(trace, 6)
    assert tree(events) == (
        "$ai_trace agents:support\n"
        "  $ai_span invoke_agent support\n"
        "    $ai_generation chat gpt-4o-mini\n"
        "    $ai_span price_of\n"
        "      $ai_span agents:price\n"
        "    $ai_generation chat gpt-4o-mini"
    )
    assert {event["distinct_id"] for event in events} == {"ada"}
    calls = [e["properties"] for e in events if e["event"] == "$ai_generation"]
    assert [call["$ai_output_tokens"] for call in calls] == [COMPLETION_TOKENS] * 2
    assert all(call["$ai_total_cost_usd"] > 0 for call in calls)
    tool = next(e["properties"] for e in events if e["properties"]["$ai_span_name"] == "price_of")
    assert tool["$ai_input_state"] == {"product": "hat"}
    assert "12.5" in str(tool["$ai_output_state"])


def test_an_agent_of_another_models_client_is_the_same_trace(
    deployment: Deployment, traces: Traces
) -> None:
    # Of another product: a price that was asked for before is answered from memory, without a span.
    text = 'call price_of {"product": "scarf"}'
    trace = deployment.call("action", "agents:support_by_claude", {"text": text})
    assert deployment.value.strip() == "The tool said 12.5"
    events = traces.of(trace, 6)  # a call of the model is one event, not one of each library
    assert tree(events) == (
        "$ai_trace agents:support_by_claude\n"
        "  $ai_span invoke_agent support\n"
        "    $ai_generation chat claude-sonnet-4-5\n"
        "    $ai_span price_of\n"
        "      $ai_span agents:price\n"
        "    $ai_generation chat claude-sonnet-4-5"
    )
    calls = [e["properties"] for e in events if e["event"] == "$ai_generation"]
    assert [call["$ai_output_tokens"] for call in calls] == [COMPLETION_TOKENS] * 2
    assert {call["$ai_provider"] for call in calls} == {"anthropic"}


def test_an_agent_that_streams_into_a_table(deployment: Deployment, traces: Traces) -> None:
    trace = deployment.call("action", "agents:stream", {"text": "say warm and soft"})
    assert deployment.value.strip() == "warm and soft"
    deployment.call("query", "agents:answers")
    assert [text.strip() for text in deployment.value] == ["warm and soft"]
    events = traces.of(trace, 8)
    lines = tree(events).splitlines()
    assert lines[:2] == ["$ai_trace agents:stream", "  $ai_span agents:begin"]
    assert "  $ai_span invoke_agent support" in lines
    assert sum("$ai_generation chat gpt-4o-mini" in line for line in lines) == 1
    assert sum("agents:grow" in line for line in lines) == 4
    assert "warm and soft" in json.dumps(events)

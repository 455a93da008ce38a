"""OpenAI's official client, traced by its OpenTelemetry instrumentation, in functions."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from model_server import COMPLETION_TOKENS, PROMPT_TOKENS, ModelServer
from traced import PATIENCE_S, Deployment, Traces, tree

from posthog_local.testing import PostHogLocal
from pyconvex.runlog.traces import TraceContext, trace_id_of

#: Dollars a token of gpt-4o-mini.
INPUT_USD, OUTPUT_USD = 0.15e-6, 0.6e-6


def generations(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["properties"] for event in events if event["event"] == "$ai_generation"]


def test_a_call_of_a_model_is_a_generation_of_its_caller_below_its_function(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:chat", {"text": "say hello there", "user": "ada"})
    assert deployment.value == "hello there"
    events = traces.of(trace, 2)
    assert tree(events) == "$ai_trace models:chat\n  $ai_generation chat gpt-4o-mini"
    assert {event["distinct_id"] for event in events} == {"ada"}
    [call] = generations(events)
    assert (call["$ai_model"], call["$ai_provider"]) == ("gpt-4o-mini", "openai")
    assert call["$ai_input_tokens"] == PROMPT_TOKENS
    assert call["$ai_output_tokens"] == COMPLETION_TOKENS
    cost = PROMPT_TOKENS * INPUT_USD + COMPLETION_TOKENS * OUTPUT_USD
    assert call["$ai_total_cost_usd"] == pytest.approx(cost)
    assert 0 < call["$ai_latency"] < PATIENCE_S
    assert "hello there" in json.dumps(call["$ai_output_choices"])
    assert "say hello there" in json.dumps(call["$ai_input"])
    assert "$ai_is_error" not in call
    run = events[0]["properties"]
    assert run["convex.request_id"] == deployment.last_request_id
    assert (run["convex.kind"], run["convex.attempt"]) == ("action", 0)
    assert run["$ai_latency"] >= call["$ai_latency"]


def test_a_stream_is_a_generation_with_all_that_came(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:streamed", {"text": "say one two three"})
    assert deployment.value.split() == ["one", "two", "three"]
    [call] = generations(traces.of(trace, 2))
    assert "one two three" in json.dumps(call["$ai_output_choices"])
    assert call["$ai_output_tokens"] == COMPLETION_TOKENS


def test_an_error_of_the_model_is_an_error_in_the_trace(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:caught", {"text": "fail 401"})
    assert deployment.value == "AuthenticationError"
    events = traces.of(trace, 2)
    [call] = generations(events)
    assert call["$ai_is_error"]
    assert "scripted failure 401" in call["$ai_error"]
    assert "$ai_is_error" not in events[0]["properties"]  # the function went on

    request_id, _ = deployment.outcome("action", "models:chat", {"text": "fail 400"})
    run = traces.of(trace_id_of(request_id), 2)[0]["properties"]
    assert run["$ai_is_error"]
    assert run["$ai_error"].startswith("BadRequestError")


def test_what_the_client_tries_again_is_one_generation(
    deployment: Deployment, traces: Traces, model: ModelServer
) -> None:
    asked = len(model.requests)
    trace = deployment.call("action", "models:retried", {"text": "flaky first fine"})
    assert len(model.requests) == asked + 2
    [call] = generations(traces.of(trace, 2))
    assert "$ai_is_error" not in call
    assert "fine" in json.dumps(call["$ai_output_choices"])


def test_an_embedding(deployment: Deployment, traces: Traces) -> None:
    trace = deployment.call("action", "models:embed", {"text": "soft"})
    events = traces.of(trace, 2)
    assert tree(events).endswith("$ai_embedding embeddings text-embedding-3-small")
    assert events[1]["properties"]["$ai_input_tokens"] == 8


def test_threads_executors_and_tasks_belong_to_the_call_that_started_them(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:blocking", {"text": "say so"})
    assert deployment.value == "so so so"
    assert len(generations(traces.of(trace, 4))) == 3
    trace = deployment.call("action", "models:in_background", {"text": "say so"})
    assert len(generations(traces.of(trace, 3))) == 2


def test_users_at_once_in_one_isolate_never_mix(deployment: Deployment, traces: Traces) -> None:
    async def all_at_once() -> list[tuple[str, Any]]:
        runs = [
            deployment.running(
                "action", "models:chat", {"text": f"slow for user-{n}", "user": f"user-{n}"}
            )
            for n in range(8)
        ]
        return await asyncio.gather(*runs)

    began = time.monotonic()
    for number, (request_id, _) in enumerate(deployment.do(all_at_once())):
        events = traces.of(trace_id_of(request_id), 2)
        assert [event["distinct_id"] for event in events] == [f"user-{number}"] * 2
        [call] = generations(events)
        assert f"for user-{number}" in json.dumps(call["$ai_output_choices"])
        assert call["$ai_parent_id"] == events[0]["properties"]["$ai_span_id"]
    assert time.monotonic() - began < PATIENCE_S


def test_functions_that_an_action_calls_are_in_its_trace(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:noting", {"text": "say noted"})
    assert tree(traces.of(trace, 4)) == (
        "$ai_trace models:noting\n"
        "  $ai_generation chat gpt-4o-mini\n"
        "  $ai_span models:note\n"
        "  $ai_span models:notes"
    )
    trace = deployment.call("action", "models:outer", {"text": "say deep"})
    assert tree(traces.of(trace, 3)) == (
        "$ai_trace models:outer\n  $ai_span models:inner\n    $ai_generation chat gpt-4o-mini"
    )


def test_scheduled_work_is_in_the_trace_of_who_scheduled_it(
    deployment: Deployment, traces: Traces
) -> None:
    trace = deployment.call("action", "models:answer_then_schedule", {"text": "say on"})
    assert tree(traces.of(trace, 4)) == (
        "$ai_trace models:answer_then_schedule\n"
        "  $ai_generation chat gpt-4o-mini\n"
        "  $ai_span models:later\n"
        "    $ai_generation chat gpt-4o-mini"
    )
    # A mutation that calls no model is no span itself; what it scheduled begins the tree.
    trace = deployment.call("mutation", "models:schedule", {"text": "say on"})
    assert tree(traces.of(trace, 2)) == "$ai_trace models:later\n  $ai_generation chat gpt-4o-mini"


def test_a_trace_that_a_caller_began_goes_on(deployment: Deployment, traces: Traces) -> None:
    given = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    deployment.call("action", "models:chat", {"text": "say on"}, trace=given)
    assert len(traces.of(given.trace_id, 2)) == 2
    trace = deployment.call("action", "models:where")
    version, trace_id, span_id, flags = deployment.value.split("-")
    assert (version, trace_id, len(span_id), flags) == ("00", trace, 16, "01")


def test_privacy_mode_and_properties_of_a_block(
    deployment: Deployment, traces: Traces, local: PostHogLocal
) -> None:
    trace = deployment.call("action", "models:private", {"text": "say my-secret-text"})
    events = traces.of(trace, 2)
    [call] = generations(events)
    assert "my-secret-text" not in json.dumps(events)
    assert call["$ai_input_tokens"] == PROMPT_TOKENS
    assert call["plan"] == "pro"
    assert events[1]["distinct_id"] == "grace"
    assert "sk-canary" not in json.dumps(local.events())


def test_tracing_off_for_a_block_and_for_the_app(
    deployment: Deployment, traces: Traces, local: PostHogLocal
) -> None:
    off = deployment.call("action", "models:untraced", {"text": "say nothing"})
    deployment.set_env(POSTHOG_DISABLE_AI_TRACING="1")
    also_off = deployment.call("action", "models:chat", {"text": "say nothing"})
    deployment.set_env(POSTHOG_DISABLE_AI_TRACING=None, POSTHOG_AI_PRIVACY_MODE="1")
    private = deployment.call("action", "models:chat", {"text": "say my-app-secret"})
    deployment.set_env(POSTHOG_AI_PRIVACY_MODE=None)
    assert "my-app-secret" not in json.dumps(traces.of(private, 2))
    # Lanes keep the order: what was before would be there.
    seen = {event["properties"].get("$ai_trace_id") for event in local.events()}
    assert not {off, also_off} & seen

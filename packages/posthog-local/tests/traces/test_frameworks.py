"""What the spans of single frameworks say beside the shared conventions."""

from __future__ import annotations

import json
from typing import Any

from posthog_local.otlp.request import OtlpItem
from posthog_local.traces.mapping import ai_event
from posthog_local.traces.span import ai_span


def properties(attributes: dict[str, Any], **record: Any) -> dict[str, Any]:
    pairs = [
        {"key": key, "value": {"stringValue": value} if isinstance(value, str)
         else {"intValue": str(value)}}
        for key, value in attributes.items()
    ]  # fmt: skip
    whole = {"traceId": "0a", "spanId": "01", "name": "a span", "attributes": pairs, **record}
    item = OtlpItem(resource={}, scope_name="", scope_version="", record=whole)
    span = ai_span(item)
    assert span is not None
    return ai_event(span, 0).properties


def test_the_vercel_sdk_names_its_function_and_carries_metadata() -> None:
    attributes = {
        "ai.operationId": "ai.generateText",
        "ai.telemetry.functionId": "advise",
        "ai.telemetry.metadata.posthog_trace_name": "advice",
        "ai.telemetry.metadata.tier": "gold",
        "ai.telemetry.metadata.posthog_distinct_id": "ada",
        "ai.usage.cachedInputTokens": 5,
    }
    found = properties(attributes)
    assert (found["functionId"], found["$ai_span_name"]) == ("advise", "advise")
    assert (found["tier"], found["posthog_trace_name"]) == ("gold", "advice")
    assert "posthog_distinct_id" not in found
    assert found["$ai_framework"] == "vercel"
    assert found["$ai_cache_reporting_exclusive"] is False
    inner = properties(attributes, parentSpanId="0b")
    assert inner["$ai_span_name"] == "a span"


def test_eve_is_a_framework_of_its_own() -> None:
    assert properties({"eve.session.id": "s"})["$ai_framework"] == "eve"


def test_a_pydantic_agent_s_run_has_what_came_in_and_went_out() -> None:
    messages = [{"role": "system", "parts": []},
                {"role": "user", "parts": [{"type": "text", "content": "soft?"}]}]  # fmt: skip
    found = properties(
        {"pydantic_ai.all_messages": json.dumps(messages), "final_result": '{"item": "plush"}'}
    )
    assert found["$ai_input_state"] == [{"type": "text", "content": "soft?"}]
    assert found["$ai_output_state"] == {"item": "plush"}
    assert found["$ai_lib"] == "opentelemetry/pydantic-ai"


def test_traceloop_s_tools_and_end() -> None:
    found = properties(
        {
            "llm.request.type": "chat",
            "llm.request.functions.1.name": "ship",
            "llm.request.functions.0.name": "stock",
            "llm.request.functions.0.parameters": '{"type": "object"}',
            "gen_ai.completion.0.finish_reason": "stop",
        }
    )
    assert [one["function"]["name"] for one in found["$ai_tools"]] == ["stock", "ship"]
    assert found["$ai_tools"][0]["function"]["parameters"] == {"type": "object"}
    assert found["$ai_stop_reason"] == "stop"

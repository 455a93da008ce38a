"""AI spans of every dialect become events with costs."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.ingest.event import IncomingEvent
from posthog_local.otlp.request import OtlpItem
from posthog_local.testing import PostHogLocal
from posthog_local.traces.costs import priced
from posthog_local.traces.mapping import ai_event
from posthog_local.traces.span import ai_span

_START = 1_767_225_600_000_000_000
_TRACE = "000102030405060708090a0b0c0d0e0f"


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def span(attributes: dict[str, Any], **record: Any) -> dict[str, Any]:
    return {
        "traceId": _TRACE,
        "spanId": "0001020304050607",
        "name": "a span",
        "startTimeUnixNano": str(_START),
        "endTimeUnixNano": str(_START + 1_500_000_000),
        "attributes": _pairs(attributes),
        **record,
    }


def event(
    attributes: dict[str, Any], resource: dict[str, Any] | None = None, **record: Any
) -> IncomingEvent:
    item = OtlpItem(
        resource=resource or {},
        scope_name="",
        scope_version="",
        record=span(attributes, **record),
    )
    found = ai_span(item)
    assert found is not None
    return ai_event(found, 0)


def test_a_gen_ai_chat_is_a_generation() -> None:
    made = event(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.system_instructions": "be brief",
            "gen_ai.input.messages": '[{"role":"user","content":"hi"}]',
            "gen_ai.output.messages": '[{"role":"assistant","content":"hello"}]',
            "posthog.distinct_id": "u1",
            "custom": "kept",
        },
        {"service.name": "shop", "host.name": "hidden", "telemetry.sdk.name": "opentelemetry"},
        parentSpanId="1111111111111111",
    )
    assert (made.event, made.distinct_id) == ("$ai_generation", "u1")
    assert made.timestamp_us == _START // 1000
    properties = made.properties
    assert properties["$ai_model"] == "gpt-4o-2024-08-06"
    assert properties["$ai_provider"] == "openai"
    assert (properties["$ai_input_tokens"], properties["$ai_output_tokens"]) == (12, 3)
    assert properties["$ai_input"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]
    assert properties["$ai_output_choices"] == [{"role": "assistant", "content": "hello"}]
    assert properties["$ai_latency"] == 1.5
    assert properties["$ai_trace_id"] == _TRACE
    assert properties["$ai_parent_id"] == "1111111111111111"
    assert (properties["custom"], properties["service.name"]) == ("kept", "shop")
    assert properties["$ai_lib"] == "opentelemetry"
    assert not properties.keys() & {"host.name", "gen_ai.operation.name", "posthog.distinct_id"}
    assert "$process_person_profile" not in properties


def test_kinds_of_events() -> None:
    parent = {"parentSpanId": "1111111111111111"}
    assert event({"gen_ai.operation.name": "embeddings"}).event == "$ai_embedding"
    assert event({"gen_ai.operation.name": "execute_tool"}, **parent).event == "$ai_span"
    assert event({"gen_ai.operation.name": "invoke_agent"}).event == "$ai_trace"
    assert event({"ai.operationId": "ai.generateText.doGenerate"}).event == "$ai_generation"
    assert event({"ai.operationId": "ai.embed.doEmbed"}).event == "$ai_embedding"
    assert event({"ai.operationId": "ai.generateText"}).event == "$ai_trace"
    assert event({"llm.request.type": "completion"}).event == "$ai_generation"


def test_a_vercel_generation() -> None:
    properties = event(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.id": "gpt-4o",
            "ai.model.provider": "openai.chat",
            "ai.prompt.messages": '[{"role":"user","content":"hi"}]',
            "ai.response.text": "hello",
            "ai.response.toolCalls": '[{"toolCallId":"1","toolName":"find","input":{"q":"x"}}]',
            "ai.usage.inputTokens": 4,
            "ai.response.finishReason": "stop",
            "ai.telemetry.metadata.posthog_distinct_id": "u2",
        }
    ).properties
    assert properties["$ai_input"] == [{"role": "user", "content": "hi"}]
    assert properties["$ai_output_choices"] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "hello"},
                {"type": "function", "id": "1",
                 "function": {"name": "find", "arguments": {"q": "x"}}},
            ],
        }
    ]  # fmt: skip
    assert (properties["$ai_framework"], properties["$ai_stop_reason"]) == ("vercel", "stop")


def test_a_traceloop_generation() -> None:
    properties = event(
        {
            "llm.request.type": "chat",
            "gen_ai.system": "Anthropic",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.tool_calls.0.name": "find",
            "gen_ai.completion.0.tool_calls.0.arguments": "{}",
        }
    ).properties
    assert properties["$ai_input"] == [{"role": "user", "content": "hi"}]
    function = {"name": "find", "arguments": "{}"}
    call = {"type": "function", "id": None, "function": function}
    assert properties["$ai_output_choices"] == [{"role": "assistant", "tool_calls": [call]}]
    assert properties["$ai_lib"] == "opentelemetry/traceloop"


def test_nobody_s_span_is_personless_and_one_conversation_is_one_id() -> None:
    first = event({"gen_ai.conversation.id": "c1"})
    assert first.properties["$process_person_profile"] is False
    assert first.distinct_id == event({"gen_ai.conversation.id": "c1"}, traceId="ff").distinct_id
    assert first.distinct_id != event({"gen_ai.system": "x"}).distinct_id
    assert event({"gen_ai.system": "x"}, {"user.id": "u3"}).distinct_id == "u3"


def test_a_failed_span_says_why() -> None:
    raised = {"name": "exception", "attributes": _pairs(
        {"exception.type": "RateLimit", "exception.message": "slow down"})}  # fmt: skip
    status = {"code": 2, "message": "boom"}
    properties = event({"gen_ai.system": "x"}, status=status, events=[raised]).properties
    assert properties["$ai_is_error"] is True
    assert properties["$ai_error"] == "RateLimit: slow down"
    assert properties["$ai_http_status"] == 500
    assert event({"gen_ai.system": "x"}, status=status).properties["$ai_error"] == "boom"


def test_other_spans_are_ignored() -> None:
    item = OtlpItem(
        resource={}, scope_name="", scope_version="", record=span({"http.method": "GET"})
    )
    assert ai_span(item) is None


@pytest.mark.parametrize(
    ("properties", "cost", "source"),
    [
        ({"$ai_model": "gpt-4o", "$ai_input_tokens": 1000, "$ai_output_tokens": 100},
         0.0035, "posthog-local"),
        ({"$ai_model": "openai/gpt-4o-mini-2024", "$ai_input_tokens": 1000}, 0.00015,
         "posthog-local"),
        ({"$ai_model": "gpt-4o", "$ai_input_tokens": 1000, "$ai_cache_read_input_tokens": 400},
         0.002, "posthog-local"),
        ({"$ai_model": "claude-sonnet-4-5", "$ai_input_tokens": 100,
          "$ai_cache_read_input_tokens": 1000, "$ai_cache_creation_input_tokens": 80},
         0.0009, "posthog-local"),
        ({"$ai_input_cost_usd": 0.1, "$ai_output_cost_usd": 0.2}, 0.3, "passthrough"),
        ({"$ai_input_token_price": 0.5, "$ai_output_token_price": 1, "$ai_input_tokens": 2},
         1.0, "custom"),
    ],
)  # fmt: skip
def test_costs(properties: dict[str, Any], cost: float, source: str) -> None:
    result = priced(properties)
    assert result["$ai_total_cost_usd"] == pytest.approx(cost)
    assert result["$ai_cost_model_source"] == source


def test_an_unknown_model_has_no_cost() -> None:
    assert priced({"$ai_model": "my-own", "$ai_input_tokens": 5}) == {
        "$ai_model": "my-own",
        "$ai_input_tokens": 5,
    }


def post(local: PostHogLocal, body: bytes, token: str = "phc_a") -> int:
    request = Request(
        local.url + "/i/v0/ai/otel/v1/traces", body, {"authorization": f"Bearer {token}"}
    )
    try:
        with urlopen(request) as response:
            return int(response.status)
    except HTTPError as error:
        with error:
            return error.code


def request_of(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def test_spans_arrive_once_with_their_costs(local: PostHogLocal) -> None:
    chat = span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
                 "gen_ai.usage.input_tokens": 1000, "posthog.distinct_id": "u"})  # fmt: skip
    other = span({"http.method": "GET"}, spanId="ff")
    for _ in range(2):
        assert post(local, request_of(chat, other)) == 200
    events = local.events()
    assert [one["event"] for one in events] == ["$ai_generation"]
    assert events[0]["properties"]["$ai_total_cost_usd"] == pytest.approx(0.0025)
    assert local.timeline("u")[0]["kind"] == "ai"
    page = urlopen(local.url + f"/llm_analytics/{_TRACE}")
    with page:
        assert "gpt-4o" in page.read().decode()


def test_refusals(local: PostHogLocal) -> None:
    assert post(local, b"nonsense") == 400
    assert post(local, b"{}", token="phx_a") == 401
    many = [span({"gen_ai.system": "x"}, spanId=f"{n:x}") for n in range(101)]
    assert post(local, request_of(*many)) == 400
    assert local.events() == []


_ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none())


@given(
    st.dictionaries(
        st.sampled_from(["ai.prompt", "ai.response.toolCalls", "gen_ai.input.messages", "user.id",
                         "gen_ai.prompt.0.tool_calls.0.id", "gen_ai.prompt.0.tool_calls",
                         "gen_ai.system_instructions", "$ai_input_tokens"]),
        st.sampled_from(["", "[", "{}", "[1]", "null", '{"prompt":5}']) | st.integers(0, 9),
        min_size=1,
    ),
    st.dictionaries(
        st.sampled_from(["status", "events", "name", "startTimeUnixNano", "traceId"]), _ANY
    ),
)  # fmt: skip
def test_any_ai_span_becomes_an_event(attributes: dict[str, Any], record: dict[str, Any]) -> None:
    made = event({**attributes, "gen_ai.system": "x"}, **record)
    json.dumps(priced(made.properties))
    assert made.distinct_id

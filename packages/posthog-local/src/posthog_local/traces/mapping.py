"""An AI span becomes an `$ai_*` event.

Owns the event's name, whose it is, and PostHog's mapping of attributes to properties. Pure; the
same span always becomes the same event, so that an exporter's retry is stored once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from posthog_local.ingest.distinct_id import text_id
from posthog_local.ingest.event import IncomingEvent
from posthog_local.traces.frameworks import framework_properties
from posthog_local.traces.messages import model_input, model_output, parsed
from posthog_local.traces.span import Dialect, Span

# PostHog's own namespace for the ids of nobody in particular.
_ANONYMOUS = UUID("392e81d5-3d13-4a6f-b541-bdbf6c865e56")
_EVENT_IDS = UUID("a3b7d5f0-6d0e-5c39-9a51-5f1c7f4f2f4b")
_IGNORED_RESOURCE = ("host.", "process.", "os.", "telemetry.")
_STRIPPED = frozenset(
    [
        "telemetry.sdk.language",
        "gen_ai.operation.name",
        "user.id",
        "posthog.distinct_id",
        "llm.request.type",
        "posthog.geoip_disable",
    ]
)
_GENERATION = frozenset(["chat", "text_completion", "generate_content", "completion"])
_EMBEDDING = frozenset(["embeddings", "embedding"])
_PERSON_KEYS = (
    "ai.telemetry.metadata.posthog_distinct_id",
    "ai.settings.context.posthog_distinct_id",
    "posthog.distinct_id",
    "user.id",
)
_SESSION_KEYS = (
    "$ai_session_id",
    "ai.telemetry.metadata.$ai_session_id",
    "ai.settings.context.$ai_session_id",
    "eve.session.id",
    "anthropic.session.id",
    "gen_ai.conversation.id",
)
# Property, then the attributes that may hold it, the best first.
_DIRECT: dict[str, tuple[str, ...]] = {
    "$ai_model": ("gen_ai.response.model", "gen_ai.request.model", "ai.model.id"),
    "$ai_provider": ("gen_ai.provider.name", "gen_ai.system", "ai.model.provider"),
    "$ai_input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
    ),
    "$ai_output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "$ai_total_tokens": ("llm.usage.total_tokens", "ai.usage.totalTokens"),
    "$ai_reasoning_tokens": (
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
    ),
    "$ai_cache_read_input_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
    ),
    "$ai_cache_creation_input_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    "$ai_temperature": ("gen_ai.request.temperature", "ai.settings.temperature"),
    "$ai_max_tokens": ("gen_ai.request.max_tokens", "ai.settings.maxTokens"),
    "$ai_base_url": ("server.address",),
    "$ai_response_id": ("gen_ai.response.id", "ai.response.id"),
    "$ai_stop_reason": ("ai.response.finishReason",),
    "$ai_session_id": _SESSION_KEYS,
    "$ai_prompt_name": ("ai.telemetry.metadata.$ai_prompt_name",),
    "$ai_prompt_version": ("ai.telemetry.metadata.$ai_prompt_version",),
}
_PARSED: dict[str, tuple[str, ...]] = {
    "$ai_tools": ("gen_ai.tool.definitions", "ai.prompt.tools"),
    "$ai_input_state": (
        "gen_ai.tool.call.arguments",
        "tool_arguments",
        "ai.toolCall.args",
        "traceloop.entity.input",
    ),
    "$ai_output_state": (
        "gen_ai.tool.call.result",
        "tool_response",
        "ai.toolCall.result",
        "traceloop.entity.output",
        "final_result",
    ),
    "$groups": ("$groups", "ai.telemetry.metadata.$groups"),
}


def ai_event(span: Span, now_us: int) -> IncomingEvent:
    """The event that this span is to PostHog."""
    distinct_id, known = whose(span.attributes, span.resource, span.trace_id)
    properties = _properties(span)
    if not known:
        properties["$process_person_profile"] = False
    return IncomingEvent(
        uuid=str(uuid5(_EVENT_IDS, f"{span.trace_id}:{span.span_id}")),
        event=_event_name(span),
        distinct_id=distinct_id,
        timestamp_us=span.start_ns // 1000 or now_us,
        received_us=now_us,
        properties=properties,
    )


def _event_name(span: Span) -> str:
    kind = _operation(span)
    if kind in _GENERATION:
        return "$ai_generation"
    if kind in _EMBEDDING:
        return "$ai_embedding"
    return "$ai_span" if span.parent_id else "$ai_trace"


def _operation(span: Span) -> str:
    operation = span.first("ai.operationId")
    if isinstance(operation, str):
        if operation.endswith((".doGenerate", ".doStream")):
            return "chat"
        return "embedding" if operation.endswith(".doEmbed") else "span"
    kind = span.first("llm.request.type", "gen_ai.operation.name")
    return kind if isinstance(kind, str) else "span"


def whose(
    attributes: Mapping[str, Any], resource: Mapping[str, Any], trace_id: str
) -> tuple[str, bool]:
    """The distinct id of a span or record, and whether it names somebody."""
    for place, keys in ((attributes, _PERSON_KEYS), (resource, _PERSON_KEYS[2:])):
        for key in keys:
            if text := text_id(place.get(key)):
                return text, True
    for key in _SESSION_KEYS:
        if session := text_id(attributes.get(key)):
            return str(uuid5(_ANONYMOUS, f"session:{session}")), False
    return str(uuid5(_ANONYMOUS, f"trace:{trace_id}")), False


def _properties(span: Span) -> dict[str, Any]:
    resource = {k: v for k, v in span.resource.items() if not k.startswith(_IGNORED_RESOURCE)}
    base = {k: v for k, v in {**resource, **span.attributes}.items() if k not in _STRIPPED}
    mapped = {
        **{name: span.first(*places) for name, places in _DIRECT.items()},
        **{name: parsed(span.first(*places)) for name, places in _PARSED.items()},
        **_messages(span),
        **_identity(span),
        **_failure(span),
        **framework_properties(span),
    }
    return {**base, **{name: value for name, value in mapped.items() if value is not None}}


def _messages(span: Span) -> dict[str, Any]:
    """A generation's messages; for the steps around it, what came in and what went out."""
    into, out = model_input(span), model_output(span)
    if _event_name(span) in ("$ai_generation", "$ai_embedding"):
        return {"$ai_input": into, "$ai_output_choices": out}
    return {
        name: value
        for name, value in (("$ai_input_state", into), ("$ai_output_state", out))
        if value is not None
    }


def _identity(span: Span) -> dict[str, Any]:
    disabled = span.first("posthog.geoip_disable")
    return {
        "$ai_trace_id": span.trace_id,
        "$ai_span_id": span.span_id,
        "$ai_parent_id": span.parent_id or None,
        "$ai_span_name": _span_name(span),
        "$ai_latency": max(0, span.end_ns - span.start_ns) / 1e9,
        "$ai_ingestion_source": "otel",
        "$ai_lib": _library(span),
        "$ai_lib_version": span.resource.get("telemetry.sdk.version"),
        "$otel_span_name": span.name,
        "$otel_start_time_unix_nano": str(span.start_ns),
        "$otel_end_time_unix_nano": str(span.end_ns),
        "$geoip_disable": disabled not in (False, "false"),
    }


def _span_name(span: Span) -> str:
    name = span.first("ai.toolCall.name", "gen_ai.tool.name")
    return name if isinstance(name, str) and name else span.name


def _library(span: Span) -> Any:
    if span.dialect in (Dialect.PYDANTIC_AI, Dialect.TRACELOOP):
        return f"opentelemetry/{span.dialect.value}"
    return span.resource.get("telemetry.sdk.name")


def _failure(span: Span) -> dict[str, Any]:
    if not span.is_error:
        return {}
    exceptions = [event.attributes for event in span.events if event.name == "exception"]
    message: str = span.status_message
    if exceptions:
        last = exceptions[-1]
        parts = [last.get("exception.type"), last.get("exception.message")]
        message = ": ".join(str(part) for part in parts if part) or message
    return {
        "$ai_is_error": True,
        "$ai_error": message,
        "$ai_http_status": span.first("http.response.status_code", "http.status_code") or 500,
    }

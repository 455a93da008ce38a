"""Which attributes of a span make it one about AI, and which hold what was said.

Owns these names. Pure. One invariant: privacy mode takes away what people and models said, and
leaves what it took: models, tokens, times, names of tools and kinds of errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from pyconvex.runlog.otlp import SpanEvent, SpanFacts

#: PostHog's own exporter takes the first four; pydantic-ai's spans hold the last one.
PREFIXES = ("gen_ai.", "llm.", "ai.", "traceloop.", "pydantic_ai.")

_CONTENT = frozenset(
    [
        "ai.prompt",
        "ai.prompt.messages",
        "ai.response.text",
        "ai.response.object",
        "ai.response.toolCalls",
        "ai.response.reasoning",
        "ai.response.files",
        "ai.toolCall.args",
        "ai.toolCall.result",
        "ai.value",
        "ai.values",
        "ai.embedding",
        "ai.embeddings",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.task.input",
        "gen_ai.task.output",
        "traceloop.entity.input",
        "traceloop.entity.output",
        "pydantic_ai.all_messages",
        "final_result",
        "tool_arguments",
        "tool_response",
        "all_messages_events",
        "events",
        "model_request_parameters",
        "request_data",
        "response_data",
        "prompt",
        "inputs",
        "input.value",
        "output.value",
        "llm.prompt_template.template",
        "llm.prompt_template.variables",
        "llm.invocation_parameters",
        "exception.message",
        "exception.stacktrace",
        "error.message",
    ]
)
_CONTENT_PREFIXES = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.prompts.",
    "llm.completions.",
    "llm.input_messages.",
    "llm.output_messages.",
)
#: A larger span goes without what was said. Room for escapes below the 1 MiB of a report's item,
#: and for a request of several below the 4 MB that PostHog takes.
MAX_SPAN_BYTES = 900_000
#: Attributes whose operation is a call of a model.
GENERATIONS = frozenset(["chat", "text_completion", "generate_content", "completion", "embeddings"])


def is_ai(name: str, attributes: Iterable[str]) -> bool:
    """Whether a span is about AI, by its name or any attribute's.

    >>> is_ai("chat gpt-5", ["gen_ai.system"]), is_ai("GET /", ["http.url"])
    (True, False)
    """
    for key in attributes:  # half the time of `any`; every span comes here
        if key.startswith(PREFIXES):
            return True
    return name.startswith(PREFIXES)


def without_content(span: SpanFacts) -> SpanFacts:
    """The span without what was said.

    >>> said = {"gen_ai.input.messages": "[]", "gen_ai.usage.input_tokens": 3}
    >>> span = SpanFacts(trace_id="", span_id="", parent_id="", name="chat", start_ns=0, end_ns=0)
    >>> without_content(with_attributes(span, said)).attributes
    {'gen_ai.usage.input_tokens': 3}
    """
    events = [
        SpanEvent(event.name, event.time_ns, _bare(event.attributes))
        for event in span.events
        if not event.name.startswith("gen_ai.")
    ]
    return replace(span, attributes=_bare(span.attributes), events=events, status_message="")


def too_large(span: SpanFacts) -> SpanFacts:
    """The same, of one that can't be sent with what was said; it tells why that is missing."""
    return with_attributes(without_content(span), {"pyconvex.content_left_out": "too large"})


def with_attributes(span: SpanFacts, more: Mapping[str, Any]) -> SpanFacts:
    """The span with these attributes too."""
    return replace(span, attributes={**span.attributes, **more}) if more else span


def _bare(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if not is_content(key)}


def is_content(key: str) -> bool:
    """Whether an attribute holds what was said."""
    return key in _CONTENT or key.startswith(_CONTENT_PREFIXES)


def operation(attributes: Mapping[str, Any]) -> str:
    """What the span did, in the words of the conventions; "" when it doesn't say."""
    found = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    return found if isinstance(found, str) else ""

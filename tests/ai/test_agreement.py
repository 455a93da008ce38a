"""The same spans by PostHog's official exporter and by our lane are the same events."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from posthog.ai.otel import PostHogTraceExporter, is_ai_span

from posthog_convex.ai.choices import Choices
from posthog_convex.ai.content import is_ai
from posthog_convex.ai.lane import AiSpanLane
from posthog_convex.ai.provider import SdkSpan
from posthog_convex.ai.run_spans import CallSpans, span_hex
from posthog_local.testing import PostHogLocal
from pyconvex.runlog import RunRecord
from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.otlp import pack_span
from pyconvex.runlog.report import decode_value
from pyconvex.runlog.traces import SPAN

#: Stands for the call of the spans: nothing is asked of it here.
CALL: CallSpans = None  # type: ignore[assignment]
#: Where both exporters' events differ by nature: when they came, and their place in the store.
_OF_RECEIVING = {"seq", "received_at", "received_us", "cursor", "id"}


def make_spans() -> Sequence[ReadableSpan]:
    """A trace as instrumentations make it, and many spans with whatever attributes."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "shop", "team": "hedge"}), shutdown_on_exit=False
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("agreement", "1.0")
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.input.messages": '[{"role":"user","content":"größe? 🦔"}]',
        "gen_ai.output.messages": '[{"role":"assistant","content":"yes"}]',
        "gen_ai.response.finish_reasons": ("stop", "length"),
        "gen_ai.request.temperature": 0.25,
        "posthog.distinct_id": "ada",
        "streamed": True,
    }
    run = {"gen_ai.operation.name": "invoke_agent", "posthog.distinct_id": "ada"}
    with tracer.start_as_current_span("run", attributes=run):
        with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=chat):
            pass
        tool = {"gen_ai.tool.name": "price", "gen_ai.tool.call.arguments": '{"of": "hat"}'}
        with tracer.start_as_current_span("tool", attributes=tool) as span:
            span.add_event("gen_ai.choice", {"message": '{"content": "no"}'})
            span.record_exception(ValueError("no such thing"))
            span.set_status(Status(StatusCode.ERROR, "it failed"))
    embedding = {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 8}
    tracer.start_span("embed", attributes=embedding).end()
    traceloop = {"llm.request.type": "chat", "gen_ai.prompt.0.content": "hi"}
    tracer.start_span("traceloop", attributes=traceloop).end()
    tracer.start_span("GET /", attributes={"http.route": "/"}).end()
    chance = random.Random(7)
    for number in range(40):
        attributes = {f"gen_ai.a{key}": _value(chance) for key in range(chance.randrange(1, 9))}
        tracer.start_span(f"span {number}", attributes=attributes).end()
    provider.shutdown()
    return kept.get_finished_spans()


def _value(chance: random.Random) -> Any:
    def simple() -> Any:
        return chance.choice(
            [
                "".join(chance.choices('aé"\\\n\t🦔 {}[]\x00', k=chance.randrange(12))),
                chance.getrandbits(62) - (1 << 61),
                chance.uniform(-1e6, 1e6),
                float(chance.randrange(9)),
                chance.random() < 0.5,
            ]
        )

    one = simple()
    return chance.choice([one, one, (one, one), ()])


def send_ours(local: PostHogLocal, spans: Sequence[ReadableSpan]) -> None:
    entries = []
    for number, span in enumerate(spans):
        context, above = span.get_span_context(), span.parent
        assert context is not None
        parent = 0 if above is None else above.span_id
        found = SdkSpan(span, context.trace_id, context.span_id, parent, CALL, Choices(), 0)
        name, attributes, began_ns, ended_ns = found.read()
        if not is_ai(name, attributes):
            continue
        parent_id = span_hex(parent) if parent else ""
        packed = pack_span(*found.texts, found.facts(parent_id, began_ns, ended_ns, attributes))
        entries.append(
            RunEntry(
                kind=SPAN,
                id=str(number),
                component="",
                value=decode_value(packed),
                run=RunRecord(
                    ts_ms=0, began_ms=0, request_id="r", execution_id="e", kind="action", path="a:b"
                ),
            )
        )
    env = {"POSTHOG_PROJECT_TOKEN": local.project_token, "POSTHOG_HOST": local.url}
    request = AiSpanLane().encode(entries, env)
    assert request is not None
    asked = urllib.request.Request(request.url, request.body, dict(request.headers))
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.status == 200


def events_of(local: PostHogLocal) -> dict[str, dict[str, Any]]:
    return {
        event["properties"]["$ai_span_id"]: {
            name: value for name, value in event.items() if name not in _OF_RECEIVING
        }
        for event in local.events()
    }


def test_equal_spans_are_equal_events(local: PostHogLocal) -> None:
    spans = make_spans()
    local.reset()
    exporter = PostHogTraceExporter(api_key=local.project_token, host=local.url)
    assert exporter.export(spans).name == "SUCCESS"
    exporter.shutdown()
    official = events_of(local)
    assert len(official) == sum(is_ai_span(span) for span in spans) == len(spans) - 1
    local.reset()
    send_ours(local, spans)
    ours = events_of(local)
    assert ours == official
    kinds = sorted({event["event"] for event in ours.values()})
    assert kinds == ["$ai_embedding", "$ai_generation", "$ai_span", "$ai_trace"]

"""What a span about AI costs the function that it is in, and what a call without one does.

Owns the claim about the function's time that all that makes a span leave takes.
Never sends anything. Invariant: all subjects make the same span, with OpenTelemetry's own SDK, in
this process.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer
from opentelemetry.util.types import AttributeValue
from posthog.ai.otel import is_ai_span

from benchmarks import machine
from benchmarks.report import OURS, Case, Figure, Result, options, publish
from posthog_convex.ai.hook import AiHook
from posthog_convex.ai.lane import AiSpanLane
from posthog_convex.ai.provider import Collector, RunIds
from pyconvex.runlog.entries import entries_of
from pyconvex.runlog.exceptions import ExceptionReport
from pyconvex.runlog.hooks import Whose
from pyconvex.runlog.record import RunRecord
from pyconvex.runlog.report import Items, Report
from pyconvex.runlog.traces import SPAN
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.tracing import Tracing

BARE, OFFICIAL = "the SDK alone", "PyPI posthog's exporter"
NO_HOOK = "without the package"
CLAIM = (
    "What makes a span about AI leave (telling it from others, packing it into the run's report) "
    "costs its function less than half of what OpenTelemetry's SDK takes to make it, and an eighth "
    "of what PyPI posthog's exporter adds; a call without one pays microseconds for the package."
)
NOTES = [
    "a span: started, given 14 attributes as of a chat with 1 kB of messages, ended. Ours: told "
    "from others, packed, and part of the run's report; OTLP is made of it in the process that "
    "sends it, a case of its own. `posthog`'s exporter: told from others and encoded as Protobuf, "
    "without being sent, in the same thread; in a program that happens on a thread of its own, "
    "which takes its time from the same processor.",
    "sending a span: from the record in the run log to the request's body, compressed, for ours; "
    "runs of one span each. `posthog`'s exporter: the same spans as compressed Protobuf.",
    "processor time of this process.",
    "a call: what the host's tracing does when a function begins and ends that makes no span, with "
    "the package's hook and without.",
]
#: As an instrumentation of OpenAI's client sets them.
ATTRIBUTES: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.request.temperature": 0.2,
}
AT_THE_END: dict[str, AttributeValue] = {
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-9J3uLL8Q1cMbpYdKcYvvG6T1Qh2yB",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"%s"}]}]'
    % ("warm " * 100),
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"%s"}]}]'
    % ("soft " * 80),
    "openai.response.service_tier": "default",
}
SPANS = 200
NO_VARIABLES: dict[str, str] = {}


class Encodes(SpanExporter):
    """`posthog`'s exporter up to the request."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        found = [span for span in spans if is_ai_span(span)]
        encode_spans(found).SerializeToString()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""


def main() -> None:
    arguments = options(__doc__).parse_args()
    samples = 3 if arguments.quick else 31
    result = Result(
        name="ai_spans",
        claim=CLAIM,
        cases=[_a_span(samples), _a_call(samples), _sending(samples)],
        machine=machine.describe(),
        versions=machine.versions("posthog", "opentelemetry-sdk", "posthog-convex"),
        settings={"samples": str(samples), "spans a sample": str(SPANS)},
        notes=NOTES,
    )
    publish(result, keep=not arguments.quick)


def _a_span(samples: int) -> Case:
    ours, bare, official = _provider(), _provider(), _provider()
    ours.add_span_processor(Collector())
    official.add_span_processor(SimpleSpanProcessor(Encodes()))
    figures: dict[str, list[float]] = {OURS: [], BARE: [], OFFICIAL: []}
    for _ in range(samples + 1):
        figures[OURS].append(_in_a_run(lambda: _make_spans(ours.get_tracer("bench"))))
        figures[BARE].append(_timed(lambda: _make_spans(bare.get_tracer("bench"))))
        figures[OFFICIAL].append(_timed(lambda: _make_spans(official.get_tracer("bench"))))
    return Case("a span", "µs", False, {n: _figure(f, SPANS) for n, f in figures.items()})


def _a_call(samples: int) -> Case:
    figures: dict[str, list[float]] = {OURS: [], NO_HOOK: []}
    for _ in range(samples + 1):
        figures[OURS].append(_timed(lambda: _calls((AiHook(),))))
        figures[NO_HOOK].append(_timed(lambda: _calls(())))
    return Case(
        "a call without a span", "µs", False, {n: _figure(f, SPANS) for n, f in figures.items()}
    )


def _sending(samples: int) -> Case:
    kept = _Kept()
    provider = _provider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    _make_spans(provider.get_tracer("bench"))
    records = [_record() for _ in range(SPANS)]
    figures: dict[str, list[float]] = {OURS: [], OFFICIAL: []}
    for _ in range(samples + 1):
        figures[OURS].append(_timed(lambda: _send(records)))
        figures[OFFICIAL].append(
            _timed(lambda: gzip.compress(encode_spans(kept.spans).SerializeToString(), 6))
        )
    return Case("sending a span", "µs", False, {n: _figure(f, SPANS) for n, f in figures.items()})


class _Kept(SpanExporter):
    """Keeps them."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""


def _record() -> RunRecord:
    provider = _provider()
    provider.add_span_processor(Collector())
    tracing = _tracing((AiHook(),))
    tracer = provider.get_tracer("bench")
    with (
        tracing.call("bench:call", "action", "", None, NO_VARIABLES.get) as scope,
        tracer.start_as_current_span("chat gpt-4o-mini", attributes=ATTRIBUTES) as span,
    ):
        span.set_attributes(AT_THE_END)
    return RunRecord(
        ts_ms=2.0,
        began_ms=1.0,
        request_id=scope.request_id,
        execution_id=scope.execution_id,
        kind="action",
        path="bench:call",
        report=Report(items=tuple(tracing.items.items[:1]), user_id="ada"),
    )


def _send(records: list[RunRecord]) -> None:
    lane = AiSpanLane()
    found = [entry for r in records for entry in entries_of(r, frozenset({SPAN}))]
    entries = [entry for entry in found if lane.admit(entry)]
    for at in range(0, len(entries), 100):
        assert lane.encode(entries[at : at + 100], {"POSTHOG_PROJECT_TOKEN": "phc_x"})


def _calls(hooks: tuple[AiHook, ...]) -> None:
    for _ in range(SPANS):
        with _tracing(hooks).call("bench:call", "query", "", None, NO_VARIABLES.get):
            pass


def _in_a_run(work: Callable[[], None]) -> float:
    with _tracing((AiHook(),)).call("bench:call", "action", "", None, NO_VARIABLES.get):
        return _timed(work)


def _tracing(hooks: tuple[AiHook, ...]) -> Tracing:
    start = messages.Start(
        1, "action", "", "bench:call", b"{}", b"", "request", 0.0, b"", False, False, b"", None,
        execution_id="7c9e6679-7425-40de-944b-000000000001",
    )  # fmt: skip
    return Tracing(
        hooks, start, Items(), time.time_ns(), time.time_ns, _no_error, lambda: Whose("ada", None)
    )


def _no_error(error: BaseException) -> ExceptionReport:
    raise AssertionError("no call fails here") from error


def _make_spans(tracer: Tracer) -> None:
    for _ in range(SPANS):
        with tracer.start_as_current_span("chat gpt-4o-mini", attributes=ATTRIBUTES) as span:
            span.set_attributes(AT_THE_END)


def _provider() -> TracerProvider:
    return sdk.TracerProvider(
        sampler=sampling.ALWAYS_ON,
        resource=Resource({"service.name": "bench"}),
        id_generator=RunIds(),
        shutdown_on_exit=False,
    )


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1000


def _figure(sums_us: list[float], count: int) -> Figure:
    return Figure.of([total / count for total in sums_us[1:]])


if __name__ == "__main__":
    main()

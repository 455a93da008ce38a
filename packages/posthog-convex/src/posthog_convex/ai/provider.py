"""OpenTelemetry's spans, handed to the runs that they belong to.

Owns the tracer provider of a process that runs functions, and reading its spans. Never exports
anything and starts no thread. One invariant: a span that begins in a function call is in that
call's trace, whatever library made it.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from posthog_convex.ai import run_spans
from posthog_convex.ai.choices import Choices, chosen
from posthog_convex.ai.content import GENERATIONS, operation
from posthog_convex.ai.run_spans import CallSpans, began, call_for, current, ended, span_hex
from pyconvex.runlog.hooks import CallScope
from pyconvex.runlog.otlp import SpanEvent, SpanFacts, encode_resource, encode_scope
from pyconvex.runtime.purity.active import may_see_clock

#: Scopes of libraries that trace their own calls and that an instrumentation is enabled for: it
#: tells more of the same calls.
superseded: set[str] = set()
_MASK = (1 << 64) - 1
#: Odd, so that counting with it meets every number before one comes again.
_STEP = 0x9E3779B97F4A7C15


def install() -> Any:
    """Have this process's spans collected; the provider to instrument with.

    A provider that the app has set itself stays, and gets our processor too.
    """
    existing = trace.get_tracer_provider()
    if isinstance(existing, sdk.TracerProvider):
        existing.add_span_processor(Collector())
        run_spans.entering = _enter_trace
        provider = existing
    else:
        provider = _Provider(
            sampler=sampling.ALWAYS_ON,
            resource=_resource(),
            id_generator=RunIds(),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Collector())
        trace.set_tracer_provider(provider)
    for code in (sdk.Span.start, sdk.Span.end, sdk.EventBase.__init__):
        # When a span begins and ends is nothing that a query has looked at.
        may_see_clock(code.__code__)
    return provider


def _enter_trace(scope: CallScope) -> Callable[[], None]:
    """Have spans of another provider begin in a call's trace: it draws their ids itself."""
    ids = trace.SpanContext(
        int(scope.trace_id, 16),
        int(scope.span_id, 16),
        is_remote=False,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    within = trace.set_span_in_context(trace.NonRecordingSpan(ids))
    token = context_api.attach(within)
    return lambda: context_api.detach(token)


class RunIds(IdGenerator):
    """Ids that take nothing from a function's randomness; at the top of a call, its trace."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._last = secrets.randbits(64)

    def generate_span_id(self) -> int:
        self._last = (self._last + _STEP) & _MASK
        return self._last or self.generate_span_id()

    def generate_trace_id(self) -> int:
        call = current()
        if call is not None:
            return int(call.scope.trace_id, 16)
        return (self.generate_span_id() << 64) | self.generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False


class _Provider(sdk.TracerProvider):
    """OpenTelemetry's, but that a fork is nothing to it: isolates are forked all the time."""

    def _handle_fork(self) -> None:
        self._tracers_lock = threading.Lock()


class Collector(sdk.SpanProcessor):
    """Hands each span to the call in which it began."""

    def on_start(self, span: sdk.Span, parent_context: Context | None = None) -> None:
        context, above = span.get_span_context(), span.parent
        parent = 0 if above is None else above.span_id
        call = call_for(parent)
        if call is None or (superseded and _is_told_otherwise(span)):
            return
        id, began_ns = context.span_id, call.scope.now_ns()
        began(SdkSpan(span, context.trace_id, id, parent, call, chosen(), began_ns))

    def on_end(self, span: sdk.ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None:
            ended(context.span_id)

    def shutdown(self) -> None:
        """Nothing to let go of."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def _is_told_otherwise(span: sdk.Span) -> bool:
    """Whether the span is a library's own of a call that an instrumentation of it tells of."""
    scope = span.instrumentation_scope
    if scope is None or scope.name not in superseded:
        return False
    return operation(span._attributes or {}) in GENERATIONS


class SdkSpan(msgspec.Struct, gc=False):
    """A span of the SDK (`posthog_convex.ai.run_spans.OpenSpan`)."""

    span: sdk.ReadableSpan
    trace: int
    id: int
    parent: int
    call: CallSpans
    choices: Choices
    began_ns: int

    @property
    def texts(self) -> tuple[bytes, bytes]:
        return _texts(self.span.resource, self.span.instrumentation_scope)

    def read(self) -> tuple[str, dict[str, Any], int, int]:
        span = self.span
        began_ns = span.start_time or 0
        # The SDK's own mapping takes a lock and a call of Python for each key.
        attributes: Any = span._attributes
        copied = attributes.copy() if attributes else {}
        return span.name, copied, began_ns, span.end_time or began_ns

    def facts(
        self, parent_id: str, start_ns: int, end_ns: int, attributes: Mapping[str, Any]
    ) -> SpanFacts:
        span, status = self.span, self.span.status
        code: Any = status.status_code
        kind: Any = span.kind
        return SpanFacts(
            trace_id=self.trace.to_bytes(16, "big").hex(),
            span_id=span_hex(self.id),
            parent_id=parent_id,
            name=span.name,
            start_ns=start_ns,
            end_ns=end_ns,
            # The SDK counts kinds from 0, OTLP from 1.
            kind=kind._value_ + 1,
            status=code._value_,
            status_message=status.description or "",
            attributes=attributes,
            events=[
                SpanEvent(event.name, event.timestamp, dict(event.attributes or {}))
                for event in span.events
            ]
            if span._events
            else (),
        )


def _resource() -> Resource:
    # Made whole: `Resource.create` looks at the process's variables and asks detectors.
    return Resource(
        {
            "service.name": "pyconvex",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": _sdk_version(),
        }
    )


def _sdk_version() -> str:
    from opentelemetry.sdk.version import __version__

    return str(__version__)


#: Resources and scopes that were met, by identity, with their texts: to hash one is to encode it.
_met: dict[tuple[int, int], tuple[Resource, InstrumentationScope | None, tuple[bytes, bytes]]] = {}
#: A function that asks for a tracer of its own each time makes a scope each time.
_MOST_MET = 256


def _texts(resource: Resource, scope: InstrumentationScope | None) -> tuple[bytes, bytes]:
    met = _met.get((id(resource), id(scope)))
    if met is None:
        if len(_met) >= _MOST_MET:
            _met.clear()
        texts = (
            encode_resource(resource.attributes),
            encode_scope("") if scope is None else encode_scope(scope.name, scope.version),
        )
        met = _met[id(resource), id(scope)] = (resource, scope, texts)
    return met[2]

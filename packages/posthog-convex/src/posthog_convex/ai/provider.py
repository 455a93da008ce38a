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
from functools import lru_cache
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from posthog_convex.ai import run_spans
from posthog_convex.ai.content import GENERATIONS, operation
from posthog_convex.ai.run_spans import began, current, ended
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
        context = span.get_span_context()
        if context is not None and not _is_told_otherwise(span):
            began(f"{context.span_id:016x}", SdkSpan(span))

    def on_end(self, span: sdk.ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None:
            ended(f"{context.span_id:016x}")

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


class SdkSpan:
    """A span of the SDK (`posthog_convex.ai.run_spans.OpenSpan`)."""

    __slots__ = ("_span", "parent_id")

    def __init__(self, span: sdk.ReadableSpan) -> None:
        self._span = span
        parent = span.parent
        self.parent_id = "" if parent is None else f"{parent.span_id:016x}"

    @property
    def name(self) -> str:
        return self._span.name

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self._span._attributes or {}  # `attributes` wraps it anew at each look

    @property
    def times_ns(self) -> tuple[int, int]:
        began_ns = self._span.start_time or 0
        return began_ns, self._span.end_time or began_ns

    @property
    def texts(self) -> tuple[bytes, bytes]:
        return _resource_text(self._span.resource), _scope_text(self._span.instrumentation_scope)

    def facts(
        self, parent_id: str, start_ns: int, end_ns: int, attributes: Mapping[str, Any]
    ) -> SpanFacts:
        span, context, status = self._span, self._span.get_span_context(), self._span.status
        assert context is not None
        return SpanFacts(
            trace_id=f"{context.trace_id:032x}",
            span_id=f"{context.span_id:016x}",
            parent_id=parent_id,
            name=span.name,
            start_ns=start_ns,
            end_ns=end_ns,
            # The SDK counts kinds from 0, OTLP from 1.
            kind=span.kind.value + 1,
            status=status.status_code.value,
            status_message=status.description or "",
            attributes=attributes,
            events=[
                SpanEvent(event.name, event.timestamp, event.attributes or {})
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


#: Resources that were met, and their texts: to hash one is to encode it.
_resources: dict[int, tuple[Resource, bytes]] = {}


def _resource_text(resource: Resource) -> bytes:
    met = _resources.get(id(resource))
    if met is None:
        met = _resources[id(resource)] = (resource, encode_resource(resource.attributes))
    return met[1]


@lru_cache(maxsize=256)
def _scope_text(scope: InstrumentationScope | None) -> bytes:
    if scope is None:
        return encode_scope("")
    return encode_scope(scope.name, scope.version)

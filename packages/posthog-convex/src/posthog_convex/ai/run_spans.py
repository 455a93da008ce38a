"""The spans of one run, collected while it runs.

Owns which call a span belongs to, where it hangs in the trace, and which calls are spans
themselves. Never sends anything: what it keeps is metadata of the run. One invariant: a span
belongs to the call in whose context it began, and leaves with that call's run or not at all.

A call becomes a span of the trace when its run has spans about AI, or was called below some. A span
that is still open when its run returns is kept as it stands, marked `pyconvex.open`: it may be a
stream that nobody reads to its end. What ends later adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, Protocol, TypeAlias

from posthog_convex.ai.choices import Choices, chosen, is_disabled, is_private
from posthog_convex.ai.content import GENERATIONS, is_ai, operation, without_content
from pyconvex.runlog.hooks import CallScope
from pyconvex.runlog.otlp import (
    STATUS_ERROR,
    SpanEvent,
    SpanFacts,
    SpanText,
    encode_resource,
    encode_scope,
    encode_span,
)
from pyconvex.runlog.traces import SPAN

#: A larger span goes without what was said: the report's limit for one item is 1 MiB.
MAX_SPAN_BYTES = 900_000
#: What a call's own span is called among operations.
FUNCTION = "function"

_RESOURCE = encode_resource({"service.name": "pyconvex", "telemetry.sdk.language": "python"})
_SCOPE = encode_scope("pyconvex")
_ALL = Choices()
_Raised: TypeAlias = tuple[str, str] | None


class OpenSpan(Protocol):
    """A span of whatever library, read when it ends."""

    def facts(
        self, parent_id: str, start_ns: int, end_ns: int, attributes: Mapping[str, Any]
    ) -> SpanFacts:
        """The span as it is now, with these in place of its own."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is known of it by now."""

    @property
    def times_ns(self) -> tuple[int, int]:
        """When it began and ended; equal while it has not ended."""

    @property
    def parent_id(self) -> str:
        """The span above it; "" for none."""

    @property
    def texts(self) -> tuple[bytes, bytes]:
        """Resource and scope, encoded."""


class _Open:
    """A span that has begun."""

    __slots__ = ("call", "choices", "span", "start_ns")

    def __init__(self, span: OpenSpan, call: CallSpans) -> None:
        self.span = span
        self.call = call
        self.choices = chosen()
        self.start_ns = call.scope.now_ns()

    @property
    def is_kept(self) -> bool:
        """Whether it is to be reported, by what is known of it now."""
        return self.choices.tracing and is_ai(self.span.name, self.span.attributes)


class RunSpans:
    """What one run's calls share."""

    def __init__(self) -> None:
        #: Spans by id that have begun and not ended.
        self.open: dict[str, _Open] = {}
        #: Whether the trace has a span about AI in this run, or below what it called.
        self.kept = False
        #: Whether the run has ended: what comes now is too late.
        self.over = False
        #: The calls within the run that have ended, with when and what they raised.
        self.calls: list[tuple[CallSpans, int, _Raised]] = []
        self._disabled: bool | None = None
        self._private: bool | None = None

    def disabled(self, scope: CallScope) -> bool:
        """Whether the app traces nothing; read once, when there is something to trace."""
        if self._disabled is None:
            self._disabled = is_disabled(scope.env)
        return self._disabled

    def private(self, scope: CallScope) -> bool:
        """Whether the app leaves out what was said."""
        if self._private is None:
            self._private = is_private(scope.env)
        return self._private


class CallSpans:
    """One call, while it runs; `current()` in its context."""

    __slots__ = ("began_ns", "leave_trace", "run", "scope", "token")

    def __init__(self, scope: CallScope, run: RunSpans) -> None:
        self.scope = scope
        self.run = run
        self.began_ns = scope.now_ns()
        self.token: Token[CallSpans | None] | None = None
        self.leave_trace: Callable[[], None] | None = None

    def keep(self, span: SpanFacts, choices: Choices, texts: tuple[bytes, bytes]) -> None:
        """Report a finished span about AI that was made by hand."""
        if choices.tracing and not self.run.over and not self.run.disabled(self.scope):
            _report(self, span, choices, texts)

    def open_span_id(self, span_id: str) -> str:
        """The nearest span from this one upwards that will be kept; the call's own at the end."""
        found = self.run.open.get(span_id)
        while found is not None:
            if found.is_kept:
                return span_id
            span_id = found.span.parent_id
            found = self.run.open.get(span_id)
        return self.scope.span_id if self.run.kept or self.scope.trace.wanted else ""

    # The call

    def left(self, error: BaseException | None) -> None:
        """The function ended."""
        run, scope = self.run, self.scope
        if scope.parent is not None:
            run.calls.append((self, scope.now_ns(), _told(error)))
            return
        for begun in list(run.open.values()):
            _keep(begun, still_open=True)
        run.over = True
        for span_id in run.open:
            _owners.pop(span_id, None)
        if (run.kept or scope.trace.wanted) and not run.disabled(scope):
            run.calls.append((self, scope.now_ns(), _told(error)))
            for call, ended_ns, raised in run.calls:
                facts = _function(call, ended_ns, raised)
                _report(call, facts, _ALL, (_RESOURCE, _SCOPE))


_call: ContextVar[CallSpans | None] = ContextVar("posthog_ai_call", default=None)


#: The calls of all spans that are open in this process; a span may end in another context.
_owners: dict[str, CallSpans] = {}


def began(span_id: str, span: OpenSpan) -> None:
    """A span of a library began here: in the call of this context, else in that of its parent."""
    call = _call.get() or _owners.get(span.parent_id)
    if call is not None and not call.run.over:
        call.run.open[span_id] = _Open(span, call)
        _owners[span_id] = call


def ended(span_id: str) -> None:
    """It ended, wherever that is."""
    call = _owners.pop(span_id, None)
    if call is None or call.run.over:
        return
    try:
        _keep(call.run.open[span_id])
    finally:
        call.run.open.pop(span_id, None)


def current() -> CallSpans | None:
    """The call whose code runs here."""
    return _call.get()


#: What puts a call's span above the spans of a provider that isn't ours; None where ours does.
entering: Callable[[CallScope], Callable[[], None]] | None = None


def enter(scope: CallScope) -> None:
    """A call begins."""
    outer = _call.get() if scope.parent is not None else None
    call = CallSpans(scope, RunSpans() if outer is None else outer.run)
    call.token = _call.set(call)
    if entering is not None:
        call.leave_trace = entering(scope)
    scope.state = call


def leave(scope: CallScope, error: BaseException | None) -> None:
    """It ended."""
    call: CallSpans | None = scope.state
    if call is None:
        return
    try:
        call.left(error)
    finally:
        if call.leave_trace is not None:
            call.leave_trace()
        if call.token is not None:
            # One that was abandoned is closed by the collector, in whatever context that runs.
            with suppress(ValueError):
                _call.reset(call.token)


def _keep(begun: _Open, *, still_open: bool = False) -> None:
    call, span = begun.call, begun.span
    if not begun.is_kept or call.run.disabled(call.scope) or _seen_already(call.run, span):
        return
    start_ns, end_ns = span.times_ns
    if start_ns == end_ns:  # the function's clock stands still, or the span is open
        start_ns, end_ns = begun.start_ns, call.scope.now_ns()
    attributes = span.attributes
    if still_open:
        attributes = {**attributes, "pyconvex.open": True}
    facts = span.facts(_parent(call, span.parent_id), start_ns, end_ns, attributes)
    _report(call, facts, begun.choices, span.texts)


def _parent(call: CallSpans, parent_id: str) -> str:
    """The nearest span above that is about AI too, else the function call."""
    above = call.run.open.get(parent_id)
    while above is not None and not above.is_kept:
        parent_id = above.span.parent_id
        above = call.run.open.get(parent_id)
    return parent_id or call.scope.span_id


def _seen_already(run: RunSpans, span: OpenSpan) -> bool:
    """Whether a library above tells of the same call of a model: an agent framework and the client
    that it uses may both be instrumented.
    """
    above = run.open.get(span.parent_id)
    if above is None or operation(span.attributes) not in GENERATIONS:
        return False
    return operation(above.span.attributes) in GENERATIONS


def _report(
    call: CallSpans,
    facts: SpanFacts,
    choices: Choices,
    texts: tuple[bytes, bytes],
) -> None:
    attributes: Mapping[str, Any] = facts.attributes
    if choices.attributes:
        attributes = {**attributes, **choices.attributes}
        facts = _with(facts, attributes)
    if choices.privacy_mode or call.run.private(call.scope):
        facts = _without_content(facts)
    encoded = encode_span(facts)
    if len(encoded) > MAX_SPAN_BYTES:
        encoded = encode_span(_too_large(facts))
    resource, scope = texts
    report = call.scope.report
    if not report(SPAN, SpanText(resource, scope, encoded), durable=True):
        # The run's report is full: what it took is worth more than what was said.
        report(SPAN, SpanText(resource, scope, encode_span(_too_large(facts))), durable=True)
    call.run.kept = True


def _without_content(facts: SpanFacts) -> SpanFacts:
    events = [
        SpanEvent(event.name, event.time_ns, without_content(event.attributes))
        for event in facts.events
        if not event.name.startswith("gen_ai.")
    ]
    return _with(facts, without_content(facts.attributes), events, message="")


def _too_large(facts: SpanFacts) -> SpanFacts:
    bare = _without_content(facts)
    return _with(bare, {**bare.attributes, "pyconvex.content_left_out": "too large"}, bare.events)


def _with(
    facts: SpanFacts,
    attributes: Mapping[str, Any],
    events: Any = None,
    message: str | None = None,
) -> SpanFacts:
    return SpanFacts(
        trace_id=facts.trace_id,
        span_id=facts.span_id,
        parent_id=facts.parent_id,
        name=facts.name,
        start_ns=facts.start_ns,
        end_ns=facts.end_ns,
        kind=facts.kind,
        status=facts.status,
        status_message=facts.status_message if message is None else message,
        attributes=attributes,
        events=facts.events if events is None else events,
    )


def _told(error: BaseException | None) -> _Raised:
    """An error's type and message, without the error: its frames hold whatever they hold."""
    return None if error is None else (type(error).__qualname__, str(error))


def _function(call: CallSpans, ended_ns: int, error: _Raised) -> SpanFacts:
    scope = call.scope
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": FUNCTION,
        "convex.function": scope.path,
        "convex.kind": scope.kind,
        "convex.request_id": scope.request_id,
        "convex.execution_id": scope.execution_id,
        "convex.attempt": scope.attempt,
    }
    if scope.component:
        attributes["convex.component"] = scope.component
    events = []
    if error is not None:
        told = {"exception.type": error[0], "exception.message": error[1]}
        events.append(SpanEvent("exception", ended_ns, told))
    # A caller that keeps no spans is no place to hang one.
    above = scope.parent is not None or scope.trace.wanted or scope.trace.awaited
    return SpanFacts(
        trace_id=scope.trace_id,
        span_id=scope.span_id,
        parent_id=scope.parent_span_id if above else "",
        name=scope.path,
        start_ns=call.began_ns,
        end_ns=ended_ns,
        status=0 if error is None else STATUS_ERROR,
        attributes=attributes,
        events=events,
    )

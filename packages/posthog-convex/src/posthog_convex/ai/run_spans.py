"""The spans of one run, collected while it runs.

Owns which call a span belongs to, where it hangs in the trace, and which calls are spans
themselves. Never sends anything: what it keeps is metadata of the run. One invariant: a span
belongs to the call in whose context it began, and leaves with that call's run or before its end.

A call becomes a span of the trace when its run has spans about AI, or was called below some. A span
that is still open when its run returns is kept as it stands, marked `pyconvex.open`: it may be a
stream that nobody reads to its end. What ends later adds nothing.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

from posthog_convex.ai.choices import Choices, is_disabled, is_private
from posthog_convex.ai.content import (
    GENERATIONS,
    MAX_SPAN_BYTES,
    is_ai,
    operation,
    too_large,
    with_attributes,
    without_content,
)
from pyconvex.runlog.hooks import CalledOut, CallScope
from pyconvex.runlog.otlp import (
    STATUS_ERROR,
    SpanEvent,
    SpanFacts,
    encode_resource,
    encode_scope,
    pack_span,
)
from pyconvex.runlog.traces import SPAN

#: What a call's own span is called among operations.
FUNCTION = "function"
#: Of the runs that an action asks for before it asks a model, the last ones are remembered.
MAX_UNTOLD = 100

_RESOURCE = encode_resource({"service.name": "pyconvex", "telemetry.sdk.language": "python"})
_SCOPE = encode_scope("pyconvex")
_ALL = Choices()
_Raised: TypeAlias = tuple[str, str] | None


class OpenSpan(Protocol):
    """A span of whatever library, from where it began to where it is read."""

    @property
    def id(self) -> int:
        """Its id."""

    @property
    def parent(self) -> int:
        """The span above it; 0 for none."""

    @property
    def call(self) -> CallSpans:
        """The call that it belongs to."""

    @property
    def choices(self) -> Choices:
        """What held where it began."""

    @property
    def began_ns(self) -> int:
        """When it began, by the call's clock."""

    @property
    def texts(self) -> tuple[bytes, bytes]:
        """Resource and scope, encoded."""

    def read(self) -> tuple[str, dict[str, Any], int, int]:
        """What is known of it by now: name, attributes, when it began and ended; equal while it has
        not ended.
        """

    def facts(
        self, parent_id: str, start_ns: int, end_ns: int, attributes: Mapping[str, Any]
    ) -> SpanFacts:
        """The span as it is now, with these in place of its own."""


class RunSpans:
    """What one run's calls share; most runs have nothing to tell, and it costs them little."""

    #: Whether the trace has a span about AI in this run, or below what it called.
    kept = False
    #: Whether the run has ended: what comes now is too late.
    over = False
    #: Whether the app traces nothing, and whether it leaves out what was said; None until there is
    #: something to trace.
    disabled: bool | None = None
    private = False

    def __init__(self) -> None:
        #: The calls within the run that have ended, with when and what they raised.
        self.calls: list[tuple[CallSpans, int, _Raised]] = []
        #: The runs that it asked for, the last ones, which have told of no span themselves: there
        #: was none above them then. None before the first.
        self.untold: deque[tuple[CalledOut, _Raised]] | None = None

    def called(self, called: CalledOut) -> None:
        """A run that this one asked for has ended."""
        if called.kept_spans:
            self.kept = True
            return
        if self.untold is None:
            self.untold = deque(maxlen=MAX_UNTOLD)
        self.untold.append((called._replace(error=None), _told(called.error)))

    def look(self, scope: CallScope) -> bool:
        """Look at what the app has chosen; whether it traces anything."""
        if self.disabled is None:
            self.disabled = is_disabled(scope.env)
            self.private = is_private(scope.env)
        return not self.disabled


class CallSpans:
    """One call, while it runs; `current()` in its context."""

    __slots__ = ("leave_trace", "run", "scope")

    def __init__(self, scope: CallScope, run: RunSpans) -> None:
        self.scope = scope
        self.run = run
        self.leave_trace: Callable[[], None] | None = None

    def keep(self, span: SpanFacts, choices: Choices, texts: tuple[bytes, bytes]) -> None:
        """Report a finished span about AI that was made by hand."""
        if choices.tracing and not self.run.over and self.run.look(self.scope):
            _report(self, span, choices, texts)

    def open_span_id(self, span: int) -> str:
        """The nearest span from this one upwards that will be kept; the call's own at the end."""
        found = _open.get(span)
        while found is not None:
            if _is_kept(found):
                return span_hex(found.id)
            found = _open.get(found.parent)
        return self.scope.span_id if self.run.kept or self.scope.trace.wanted else ""

    # The call

    def left(self, error: BaseException | None) -> None:
        """The function ended."""
        run, scope = self.run, self.scope
        if scope.parent is not None:
            run.calls.append((self, scope.now_ns(), _told(error)))
            return
        if _open:
            self._close_open_spans()
        run.over = True
        if (run.kept or scope.trace.wanted) and run.look(scope):
            run.calls.append((self, scope.now_ns(), _told(error)))
            for called, raised in run.untold or ():
                _report(self, _called_out(scope, called, raised), _ALL, (_RESOURCE, _SCOPE))
            for call, ended_ns, raised in run.calls:
                facts = _function(call, ended_ns, raised)
                _report(call, facts, _ALL, (_RESOURCE, _SCOPE))

    def _close_open_spans(self) -> None:
        """Keep the run's spans that are still open."""
        left = [span for span in list(_open.values()) if span.call.run is self.run]
        for span in left:
            _keep(span, still_open=True)
        for span in left:
            _open.pop(span.id, None)


#: The call whose code runs here: what is known of its spans, or what the host knows of it while
#: nobody has asked for that.
_call: ContextVar[CallSpans | CallScope | None] = ContextVar("posthog_ai_call", default=None)
#: The spans that are open in this process, of whatever run: one may end in another context than it
#: began in.
_open: dict[int, OpenSpan] = {}


def current() -> CallSpans | None:
    """The call whose code runs here; None also for one that has ended without a word about AI."""
    call = _call.get()
    return spans_of(call) if isinstance(call, CallScope) else call


def spans_of(scope: CallScope) -> CallSpans | None:
    """The spans of a call, collected from now on if they were not; None once it has ended."""
    spans: CallSpans | None = scope.state
    if spans is None and not scope.over:
        spans = scope.state = CallSpans(scope, RunSpans())
    return spans


def call_for(parent: int) -> CallSpans | None:
    """The call in which a span begins here: this context's, else that of its parent."""
    call = current()
    if call is None and parent in _open:
        call = _open[parent].call
    return None if call is None or call.run.over else call


def began(span: OpenSpan) -> None:
    """A span of a library has begun."""
    _open[span.id] = span


def ended(id: int) -> None:
    """It ended, wherever that is."""
    span = _open.get(id)
    if span is not None:
        try:
            _keep(span)
        finally:
            _open.pop(id, None)


def span_hex(id: int) -> str:
    """A span's id as it is sent."""
    return id.to_bytes(8, "big").hex()


#: What puts a call's span above the spans of a provider that isn't ours; None where ours does.
entering: Callable[[CallScope], Callable[[], None]] | None = None


def enter(scope: CallScope) -> None:
    """A call begins."""
    if scope.parent is None and entering is None:
        _call.set(scope)  # most runs have nothing to tell: what they would tell with is made late
        return
    outer = current() if scope.parent is not None else None
    call = CallSpans(scope, RunSpans() if outer is None else outer.run)
    _call.set(call)
    scope.state = call
    if entering is not None:
        call.leave_trace = entering(scope)


def leave(scope: CallScope, error: BaseException | None) -> None:
    """It ended."""
    call: CallSpans | None = scope.state
    if call is None and scope.trace.wanted:
        call = spans_of(scope)
    try:
        if call is not None:
            call.left(error)
    finally:
        if call is not None and call.leave_trace is not None:
            call.leave_trace()
        # One that was abandoned is closed by the collector, in whatever context.
        here = _call.get()
        if here is not None and (here is scope or here is call):
            _call.set(None if scope.parent is None else scope.parent.state or scope.parent)


def _keep(span: OpenSpan, *, still_open: bool = False) -> None:
    call, choices = span.call, span.choices
    run, scope = call.run, call.scope
    name, attributes, start_ns, end_ns = span.read()
    if run.over or not choices.tracing or not is_ai(name, attributes):
        return
    if run.disabled is not False and not run.look(scope):
        return
    parent = span.parent
    if parent in _open:
        if _seen_already(_open[parent], attributes):
            return
        parent = _kept_above(parent)
    if start_ns == end_ns:  # the function's clock stands still, or the span is open
        start_ns, end_ns = span.began_ns, scope.now_ns()
    if still_open:
        attributes["pyconvex.open"] = True
    parent_id = span_hex(parent) if parent else scope.span_id
    _report(call, span.facts(parent_id, start_ns, end_ns, attributes), choices, span.texts)


def _is_kept(span: OpenSpan) -> bool:
    """Whether an open span is to be reported, by what is known of it now."""
    name, attributes, _, _ = span.read()
    return span.choices.tracing and is_ai(name, attributes)


def _kept_above(parent: int) -> int:
    """The nearest span from here upwards that is about AI; 0 when that is the function call."""
    found = _open.get(parent)
    while found is not None and not _is_kept(found):
        parent = found.parent
        found = _open.get(parent)
    return parent


def _seen_already(above: OpenSpan, attributes: Mapping[str, Any]) -> bool:
    """Whether a library above tells of the same call of a model: an agent framework and the client
    that it uses may both be instrumented.
    """
    return operation(attributes) in GENERATIONS and operation(above.read()[1]) in GENERATIONS


def _report(call: CallSpans, span: SpanFacts, choices: Choices, texts: tuple[bytes, bytes]) -> None:
    if choices.attributes:
        span = with_attributes(span, choices.attributes)
    if choices.privacy_mode or call.run.private:
        span = without_content(span)
    report, packed = call.scope.report_packed, pack_span(*texts, span)
    if len(packed) > MAX_SPAN_BYTES or not report(SPAN, packed, durable=True):
        # The run's report is full: what it took is worth more than what was said.
        report(SPAN, pack_span(*texts, too_large(span)), durable=True)
    call.run.kept = True


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
    # A caller that keeps no spans is no place to hang one.
    above = scope.parent is not None or scope.trace.wanted or scope.trace.awaited
    return SpanFacts(
        trace_id=scope.trace_id,
        span_id=scope.span_id,
        parent_id=scope.parent_span_id if above else "",
        name=scope.path,
        start_ns=scope.began_ns,
        end_ns=ended_ns,
        status=0 if error is None else STATUS_ERROR,
        attributes=attributes,
        events=_events(error, ended_ns),
    )


def _called_out(scope: CallScope, called: CalledOut, error: _Raised) -> SpanFacts:
    """A run that was asked for before there was a trace about AI, as its caller saw it."""
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": FUNCTION,
        "convex.function": called.path,
        "convex.kind": called.kind,
        "convex.request_id": scope.request_id,
    }
    if called.component:
        attributes["convex.component"] = called.component
    return SpanFacts(
        trace_id=scope.trace_id,
        span_id=secrets.token_hex(8),
        parent_id=scope.span_id,
        name=called.path,
        start_ns=called.began_ns,
        end_ns=called.ended_ns,
        status=0 if error is None else STATUS_ERROR,
        attributes=attributes,
        events=_events(error, called.ended_ns),
    )


def _events(error: _Raised, at_ns: int) -> list[SpanEvent]:
    if error is None:
        return []
    told = {"exception.type": error[0], "exception.message": error[1]}
    return [SpanEvent("exception", at_ns, told)]

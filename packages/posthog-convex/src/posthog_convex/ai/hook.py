"""What is done around each function call: spans find their run, and leave with it.

Owns the entry point that the host loads. Never imports OpenTelemetry unless something else did. One
invariant: a call in which nothing about AI happens leaves no trace of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from posthog_convex.ai import run_spans
from posthog_convex.ai.instrumentors import enable_all
from posthog_convex.ai.threads import carry_context
from pyconvex.runlog.hooks import CalledOut, CallScope


class AiHook:
    """Collects the AI spans of each run (`pyconvex.runlog.hooks.IsolateHook`)."""

    entered = staticmethod(run_spans.enter)
    left = staticmethod(run_spans.leave)

    def span_id(self, scope: CallScope) -> str:
        call = run_spans.current()
        return "" if call is None else call.open_span_id(_open_span())

    def called(self, scope: CallScope, called: CalledOut) -> None:
        call = run_spans.spans_of(scope)
        if call is not None:
            call.run.called(called)


def hook(modules: Sequence[ModuleType]) -> AiHook:
    """For the host: once in a process that runs functions, when the app's modules are there."""
    if enable_all():
        carry_context()
    return AiHook()


def _open_span() -> int:
    """The span that OpenTelemetry says is open here; 0 for none."""
    import sys

    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return 0
    found: int = trace.get_current_span().get_span_context().span_id
    return found

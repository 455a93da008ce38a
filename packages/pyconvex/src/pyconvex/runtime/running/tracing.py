"""The calls of one run, as hooks see them and as traces number them.

Owns the scopes of one run. Never keeps a span itself. One invariant: what a hook does wrong is told
to whoever runs the server, and the function goes on.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from pyconvex.runlog.exceptions import ExceptionReport
from pyconvex.runlog.hooks import CalledOut, CallScope, IsolateHook, Whose
from pyconvex.runlog.report import Items
from pyconvex.runlog.traces import TraceContext, span_id_of, trace_id_of
from pyconvex.runtime.processes import messages

ReadVariable = Callable[[str], str | None]


class Tracing:
    """Tells the hooks of the calls of one run; made only where there are hooks."""

    def __init__(
        self,
        hooks: tuple[IsolateHook, ...],
        start: messages.Start,
        items: Items,
        began_ns: int,
        now_ns: Callable[[], int],
        describe: Callable[[BaseException], ExceptionReport],
        whose: Callable[[], Whose],
    ) -> None:
        self._hooks = hooks
        self.request_id = start.request_id
        self.execution_id = start.execution_id
        self.attempt = start.attempt
        self.trace = start.trace
        self.items = items
        self._began_ns = began_ns
        self.now_ns = now_ns
        self.describe = describe
        self.whose = whose
        self._calls = 0
        #: The call that is the run itself.
        self.top: CallScope | None = None

    def call(
        self, path: str, kind: str, component: str, parent: CallScope | None, env: ReadVariable
    ) -> TracedCall:
        """A function of this run; call it inside the block."""
        call = self._calls
        began_ns = self.now_ns() if call else self._began_ns
        scope = CallScope(self, kind, path, component, call, parent, env, began_ns)
        self._calls = call + 1
        if not call:
            self.top = scope
        return TracedCall(self._hooks, scope)

    def over(self) -> None:
        """The run has ended. Its call knows it, and would keep it until a collection."""
        self.top = None

    def span_id(self) -> str:
        """The span that is open here and now and will be kept; "" for none."""
        scope = self.top
        if scope is None:
            return ""
        for hook in self._hooks:
            found = _guard(hook.span_id, scope)
            if found:
                return str(found)
        return ""

    def called(self, called: CalledOut) -> None:
        """A run that this one asked for has ended."""
        scope = self.top
        if scope is not None:
            for hook in self._hooks:
                _guard(hook.called, scope, called)


class TracedCall:
    """Tells the hooks when one call begins and how it ends."""

    __slots__ = ("_hooks", "_scope")

    def __init__(self, hooks: tuple[IsolateHook, ...], scope: CallScope) -> None:
        self._hooks = hooks
        self._scope = scope

    def __enter__(self) -> CallScope:
        scope = self._scope
        for hook in self._hooks:
            try:
                hook.entered(scope)
            except Exception:
                _tell_failure()
        return scope

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        scope = self._scope
        for hook in self._hooks:
            try:
                hook.left(scope, error)
            except Exception:
                _tell_failure()
        scope.over = True
        # It knows its scope, and would keep the run until a collection.
        scope.state = None


def trace_within(
    start: messages.Start, tracing: Tracing | None, user_id: str | None
) -> TraceContext:
    """Where something is that this run, of that user, calls, schedules or asks of others now."""
    open_span = tracing.span_id() if tracing is not None else ""
    return TraceContext(
        start.trace.trace_id or trace_id_of(start.request_id),
        open_span or span_id_of(start.execution_id),
        bool(open_span),
        hops=start.trace.hops,
        user_id=start.trace.user_id if user_id is None else user_id,
    )


def _guard(work: Callable[..., object], *about: object) -> object:
    try:
        return work(*about)
    except Exception:
        _tell_failure()
        return None


def _tell_failure() -> None:
    print("An isolate hook failed; the function goes on:", file=sys.stderr)
    traceback.print_exc()

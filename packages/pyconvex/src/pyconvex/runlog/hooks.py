"""What other packages do around each function call inside an isolate.

Owns the interface and finding who offers it: the entry point group `pyconvex.isolate_hooks`. Never
lets a hook's mistake reach the function. One invariant: without hooks a call makes nothing of this.

An entry point names a function that is called with the app's modules, once in each process that
runs functions, after the app was imported and before anything is forked; it returns an
`IsolateHook`, or None when there is nothing to do here.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol

from pyconvex.runlog.exceptions import ExceptionReport
from pyconvex.runlog.record import RunRecord
from pyconvex.runlog.report import Items, Report
from pyconvex.runlog.traces import TraceContext, span_id_of, trace_id_of

GROUP: Final = "pyconvex.isolate_hooks"


class Whose(NamedTuple):
    """The person and the session of a run; None where nobody named one."""

    user_id: str | None
    session_id: str | None


class CalledOut(NamedTuple):
    """A run that another one asked for and waited for, as whoever asked saw it."""

    #: "query", "mutation" or "action".
    kind: str
    path: str
    component: str
    #: By the asking call's clock.
    began_ns: int
    ended_ns: int
    error: BaseException | None
    #: Whether it has kept spans of the trace itself.
    kept_spans: bool


class CallScope:
    """One function call: its identity, its place in the trace, and its run's report."""

    __slots__ = (
        "_items",
        "_span_id",
        "_trace_id",
        "attempt",
        "call",
        "component",
        "describe",
        "env",
        "execution_id",
        "kind",
        "now_ns",
        "parent",
        "path",
        "request_id",
        "state",
        "trace",
        "whose",
    )

    def __init__(
        self,
        *,
        kind: str,
        path: str,
        component: str,
        request_id: str,
        execution_id: str,
        attempt: int,
        call: int,
        trace: TraceContext,
        parent: CallScope | None,
        items: Items,
        env: Callable[[str], str | None],
        now_ns: Callable[[], int],
        describe: Callable[[BaseException], ExceptionReport],
        whose: Callable[[], Whose],
    ) -> None:
        #: "query", "mutation", "action" or "http_action".
        self.kind = kind
        self.path = path
        self.component = component
        self.request_id = request_id
        self.execution_id = execution_id
        #: Attempts of this run before this one.
        self.attempt = attempt
        #: 0 for the function that the run is, then counted: calls within the same transaction.
        self.call = call
        #: Where the run was called.
        self.trace = trace
        #: The call that made this one within the same run.
        self.parent = parent
        self._items = items
        #: Reads a variable of the component; a read like the function's own, in queries too.
        self.env = env
        #: The time in nanoseconds since 1970, which goes on also where the function's stands still.
        self.now_ns = now_ns
        #: Describes an error of this run, under the id that the run reports it with.
        self.describe = describe
        #: Whose the run is, as is known by now: asking is not looking who calls.
        self.whose = whose
        #: For the hook.
        self.state: Any = None
        self._trace_id = self._span_id = ""

    def report_packed(self, kind: str, packed: bytes, *, durable: bool = False) -> bool:
        """Add an item to the run's report, like `ctx.report`, of a value that is msgpack already;
        False when there is no room for it.
        """
        return self._items.add_packed(kind, self.component, packed, durable=durable)

    def report(
        self, kind: str, value: Any, *, durable: bool = False, component: str | None = None
    ) -> bool:
        """The same of plain data, also in the name of another component than the call's."""
        told_by = self.component if component is None else component
        return self._items.add(kind, told_by, value, durable=durable, each_caller=False)

    @property
    def trace_id(self) -> str:
        """The trace that the call belongs to."""
        if not self._trace_id:
            self._trace_id = self.trace.trace_id or trace_id_of(self.request_id)
        return self._trace_id

    @property
    def span_id(self) -> str:
        """The span that the call is."""
        if not self._span_id:
            self._span_id = span_id_of(self.execution_id, self.call)
        return self._span_id

    @property
    def parent_span_id(self) -> str:
        """The span of whoever called; "" at the top of a trace."""
        return self.trace.span_id if self.parent is None else self.parent.span_id

    def run_so_far(self) -> RunRecord:
        """What a record can say of the run before its end."""
        user_id, session_id = self.whose()
        now_ms = self.now_ns() / 1_000_000
        return RunRecord(
            ts_ms=now_ms,
            began_ms=now_ms,
            request_id=self.request_id,
            execution_id=self.execution_id,
            kind=self.kind,
            path=self.path,
            component=self.component,
            trace_id=self.trace.trace_id,
            parent_span_id=self.trace.span_id,
            trace_user_id=self.trace.user_id,
            report=Report(user_id=user_id, session_id=session_id),
        )


class IsolateHook(Protocol):
    """What is told of every call. Calls nest, and in action isolates several runs go on at once:
    each in a context (`contextvars`) of its own.
    """

    def entered(self, scope: CallScope) -> None:
        """A function begins; in the context in which it runs."""

    def left(self, scope: CallScope, error: BaseException | None) -> None:
        """It ended, and what it reports is about to be sent; with what it raised."""

    def span_id(self, scope: CallScope) -> str:
        """The span that is open here and now below this call, and will be kept; "" for none."""

    def called(self, scope: CallScope, called: CalledOut) -> None:
        """A function that this call ran as a run of its own, as actions do, has ended."""


def load_hooks(modules: Sequence[ModuleType]) -> tuple[IsolateHook, ...]:
    """The hooks of all installed packages, for the app of these modules."""
    found: list[IsolateHook] = []
    for point in entry_points(group=GROUP):
        try:
            hook = point.load()(modules)
        except Exception:
            traceback.print_exc()
            print(f"The isolate hook {point.name} can't be used.", file=sys.stderr)
            continue
        if hook is not None:
            found.append(hook)
    return tuple(found)

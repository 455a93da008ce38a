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


class ScopedRun(Protocol):
    """What the calls of one run share."""

    @property
    def request_id(self) -> str:
        """Of the request that it serves."""

    @property
    def execution_id(self) -> str:
        """Its own."""

    @property
    def attempt(self) -> int:
        """Attempts of it before this one."""

    @property
    def trace(self) -> TraceContext:
        """Where it was called."""

    @property
    def items(self) -> Items:
        """What it reports."""

    @property
    def now_ns(self) -> Callable[[], int]:
        """Nanoseconds since 1970, which go on also where the function's clock stands still."""

    @property
    def describe(self) -> Callable[[BaseException], ExceptionReport]:
        """Describes an error of the run, under the id that the run reports it with."""

    @property
    def whose(self) -> Callable[[], Whose]:
        """Whose it is, as is known by now: asking is not looking who calls."""


class CallScope:
    """One function call: its identity, its place in the trace, and its run's report."""

    __slots__ = (
        "_run",
        "_span_id",
        "_trace_id",
        "began_ns",
        "call",
        "component",
        "env",
        "kind",
        "over",
        "parent",
        "path",
        "state",
    )

    def __init__(
        self,
        run: ScopedRun,
        kind: str,
        path: str,
        component: str,
        call: int,
        parent: CallScope | None,
        env: Callable[[str], str | None],
        began_ns: int,
    ) -> None:
        self._run = run
        #: "query", "mutation", "action" or "http_action".
        self.kind = kind
        self.path = path
        self.component = component
        #: 0 for the function that the run is, then counted: calls within the same transaction.
        self.call = call
        #: The call that made this one within the same run.
        self.parent = parent
        #: Reads a variable of the component; a read like the function's own, in queries too.
        self.env = env
        #: When it began, by `now_ns`.
        self.began_ns = began_ns
        #: Whether it has ended.
        self.over = False
        #: For the hook.
        self.state: Any = None
        self._trace_id = self._span_id = ""

    @property
    def request_id(self) -> str:
        """Of the request that the run serves."""
        return self._run.request_id

    @property
    def execution_id(self) -> str:
        """Of the run."""
        return self._run.execution_id

    @property
    def attempt(self) -> int:
        """Attempts of this run before this one."""
        return self._run.attempt

    @property
    def trace(self) -> TraceContext:
        """Where the run was called."""
        return self._run.trace

    def now_ns(self) -> int:
        """Nanoseconds since 1970, which go on also where the function's clock stands still."""
        return self._run.now_ns()

    def describe(self, error: BaseException) -> ExceptionReport:
        """Describe an error of this run, under the id that the run reports it with."""
        return self._run.describe(error)

    def whose(self) -> Whose:
        """Whose the run is, as is known by now: asking is not looking who calls."""
        return self._run.whose()

    def report_packed(self, kind: str, packed: bytes, *, durable: bool = False) -> bool:
        """Add an item to the run's report, like `ctx.report`, of a value that is msgpack already;
        False when there is no room for it.
        """
        return self._run.items.add_packed(kind, self.component, packed, durable=durable)

    def report(
        self, kind: str, value: Any, *, durable: bool = False, component: str | None = None
    ) -> bool:
        """The same of plain data, also in the name of another component than the call's."""
        told_by = self.component if component is None else component
        return self._run.items.add(kind, told_by, value, durable=durable, each_caller=False)

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

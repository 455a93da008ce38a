"""One function call within a run of a query or mutation.

Owns the call's context, its savepoint, and the calls that it makes in turn. Never reads or writes
but through the run's transaction. One invariant: a nested mutation that fails leaves nothing
written, and its caller may go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import nullcontext
from typing import Any

from pyconvex.database import Namespace
from pyconvex.functions import (
    EnvironmentView,
    FunctionCallError,
    FunctionHandle,
    FunctionKind,
    MutationCtx,
    QueryCtx,
)
from pyconvex.functions.db import DatabaseReader, DatabaseWriter
from pyconvex.functions.scheduler import Retry, When
from pyconvex.runlog import ExceptionReport, LogLines
from pyconvex.runlog.hooks import CallScope
from pyconvex.runtime import purity, system_queries
from pyconvex.runtime.app.calling import (
    MAX_CALL_DEPTH,
    Callee,
    bind_arguments,
    crossing,
    decode_result,
    encode_result,
    find_for_function,
    find_open_queue,
    too_deep,
)
from pyconvex.runtime.running.output import CURRENT_LOG
from pyconvex.runtime.running.person import SeesPerson
from pyconvex.runtime.running.state import RunState
from pyconvex.runtime.running.tracing import Tracing
from pyconvex.runtime.running.variables import environment_of
from pyconvex.values import codec

_NO_SAVEPOINT = nullcontext()


class Frame(SeesPerson):
    """What the call's context asks for (`pyconvex.functions.context.Run`)."""

    def __init__(
        self, state: RunState, callee: Callee, namespace: Namespace, depth: int, log: LogLines
    ) -> None:
        super().__init__(state.person, callee.component.path)
        self._state = state
        self._callee = callee
        self._namespace = namespace
        self._depth = depth
        self._lines = log
        #: The call as hooks see it; None without hooks.
        self._scope: CallScope | None = None

    def run(self, arguments: Any, caller: CallScope | None = None) -> Coroutine[Any, Any, bytes]:
        """Call the function; its encoded, checked result. `caller` is of the call that made this
        one.
        """
        # No coroutine around the other: each costs every call.
        tracing = self._state.tracing
        return self._run(arguments) if tracing is None else self._traced(tracing, arguments, caller)

    async def _traced(self, tracing: Tracing, arguments: Any, caller: CallScope | None) -> bytes:
        callee, transaction = self._callee, self._state.transaction
        kind, component = callee.function.kind, callee.component

        # No frame in it: what the frame refers to would refer back, and outlive the run.
        def env(name: str) -> str | None:
            return environment_of(component, transaction).get(name)

        with tracing.call(callee.path, kind.value, component.path, caller, env) as self._scope:
            return await self._run(arguments)

    async def _run(self, arguments: Any) -> bytes:
        callee, namespace = self._callee, self._namespace
        bound = bind_arguments(callee, arguments, namespace)
        mutates = callee.function.kind is FunctionKind.MUTATION
        nested = self._depth > 1
        if not nested:
            self._state.active.ticking = mutates
        token, log_token = purity.enter_call(self), CURRENT_LOG.set(self._lines)
        try:
            with self._state.transaction.savepoint() if mutates and nested else _NO_SAVEPOINT:
                result = await callee.function.handler(self.context(), **bound)
                return encode_result(callee, result, namespace)
        finally:
            self._lines.end()
            try:  # noqa: SIM105  # `suppress` costs every call
                CURRENT_LOG.reset(log_token)
            except ValueError:  # collected in another context, as in `leave_call`
                pass
            purity.leave_call(token)

    def context(self) -> QueryCtx:
        """The context for the handler."""
        component = self._callee.component
        pager = self._state.pager_for(component, self._depth)
        if self._callee.function.kind is FunctionKind.MUTATION:
            return MutationCtx(self, DatabaseWriter(self._namespace, component.schema, pager))
        return QueryCtx(self, DatabaseReader(self._namespace, component.schema, pager))

    @property
    def function_name(self) -> str:
        return self._callee.path

    @property
    def traceparent(self) -> str:
        return self._state.trace_within().traceparent()

    @property
    def environment(self) -> EnvironmentView:
        return environment_of(self._callee.component, self._state.transaction)

    def handle_of(self, target: Any) -> FunctionHandle:
        return self._state.handle_of(self._callee, target)

    def call(self, kind: str, target: Any, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        return self._call(FunctionKind(kind), target, arguments)

    async def _call(self, kind: FunctionKind, target: Any, arguments: Mapping[str, Any]) -> Any:
        state = self._state
        callee = find_for_function(state.image, self._callee, state.opened(target), kind)
        if self._depth >= MAX_CALL_DEPTH:
            raise FunctionCallError(too_deep(callee.path))
        given = crossing(callee, arguments)
        path = callee.component.path
        tables, log = state.tables_of(path), state.log.within(callee.path, path)
        encoded = await Frame(state, callee, tables, self._depth + 1, log).run(given, self._scope)
        return decode_result(callee, encoded, tables)

    async def enqueue(self, queue: str, value: Any, mount: str | None) -> None:
        namespace = self._namespace
        if mount is not None:
            child = find_open_queue(self._state.image, self._callee.component, mount, queue)
            namespace = self._state.tables_of(child.path)
        namespace.enqueue(queue, codec.encode(value))

    async def schedule(
        self, when: When, target: Any, arguments: Mapping[str, Any], retry: Retry | None
    ) -> str:
        return self._state.schedule(self._callee, when, target, arguments, retry)

    async def cancel_scheduled(self, id: str) -> None:
        self._state.cancel_scheduled(self._callee, id)

    def log(self, level: str, message: Any) -> None:
        self._lines.add(level, message)

    def report(self, kind: str, value: Any, *, durable: bool, each_caller: bool) -> None:
        component = self._callee.component.path
        self._state.items.add(kind, component, value, durable=durable, each_caller=each_caller)

    def describe(self, error: BaseException) -> ExceptionReport:
        return self._state.describer.describe(error)


class SystemFrame(Frame):
    """The call of a system query."""

    def context(self) -> QueryCtx:
        state = self._state
        return system_queries.SystemCtx(self, state.transaction, self._namespace, state.pager)

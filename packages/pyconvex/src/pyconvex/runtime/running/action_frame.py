"""One action's function call: what its handler may ask for.

Owns the way of each request out of the handler: to the server as a call, or into the action's own
report. Never reads or writes a document itself. One invariant: the variables that a handler sees
are those of its start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from pyconvex.functions import (
    ConvexError,
    CredentialRefused,
    EnvironmentView,
    FunctionCallError,
    FunctionHandle,
    FunctionKind,
)
from pyconvex.functions.scheduler import Retry, When
from pyconvex.runlog import ExceptionReport
from pyconvex.runlog.hooks import CalledOut
from pyconvex.runtime.app import handles
from pyconvex.runtime.app.calling import (
    Callee,
    Caller,
    crossing,
    find_for_function,
    find_named,
    find_to_schedule,
)
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.person import SeesPerson
from pyconvex.runtime.running.reporting import Reporting
from pyconvex.runtime.running.server_calls import ServerCalls
from pyconvex.runtime.running.snapshots import Snapshots
from pyconvex.runtime.scheduling import requests
from pyconvex.values import Value, codec


class ActionFrame(SeesPerson):
    """What an action's context asks for (`pyconvex.functions.context.Run`)."""

    def __init__(
        self,
        image: AppImage,
        snapshots: Snapshots,
        calls: ServerCalls,
        start: messages.Start,
        callee: Caller,
        environment: Mapping[str, str],
        reporting: Reporting,
        refused: str = "",
    ) -> None:
        super().__init__(reporting.person, callee.component.path)
        self._image = image
        self._snapshots = snapshots
        self._calls = calls
        self._run_id = start.run_id
        self._secret = start.cursor_secret
        self._callee = callee
        #: Why the caller's credential is not valid; "" when it is, or there is none.
        self._refused = refused
        self._environment = environment
        self._reporting = reporting

    @property
    def function_name(self) -> str:
        return self._callee.path

    @property
    def identity_attributes(self) -> Mapping[str, Any] | None:
        if self._refused:
            raise CredentialRefused(self._refused)
        return super().identity_attributes

    @property
    def traceparent(self) -> str:
        return self._reporting.trace_within().traceparent()

    @property
    def environment(self) -> EnvironmentView:
        return EnvironmentView(list(self._environment), self._environment.get)

    def handle_of(self, target: Any) -> FunctionHandle:
        callee = find_named(self._image, self._callee, self._opened(target))
        return handles.handle_of(self._secret, callee)

    def call(self, kind: str, target: Any, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        function_kind = FunctionKind(kind)
        opened = self._opened(target)
        callee = find_for_function(self._image, self._callee, opened, function_kind)
        return self._call(callee, function_kind, arguments)

    async def _call(self, callee: Callee, kind: FunctionKind, arguments: Mapping[str, Any]) -> Any:
        component = callee.component.path
        encoded = codec.encode(crossing(callee, arguments))
        value = await self._ask(kind, component, callee.path, args=encoded)
        with self._snapshots.newest() as transaction:
            return callee.function.returns.check(value, transaction.namespace(component))

    async def enqueue(self, queue: str, value: Any, mount: str | None) -> None:
        raise FunctionCallError(
            "An action can't append to a queue itself: call a mutation of this component that does."
        )

    async def schedule(
        self, when: When, target: Any, arguments: Mapping[str, Any], retry: Retry | None
    ) -> str:
        callee = find_to_schedule(self._image, self._callee, self._opened(target))
        trace = self._reporting.trace_within()
        with self._snapshots.newest() as transaction:
            tables = transaction.namespace(callee.component.path)
            request = requests.request(self._callee, callee, when, arguments, retry, tables, trace)
        requests.Budget().count(request)
        return str(await self._ask(messages.SCHEDULING, args=requests.encode(request)))

    async def cancel_scheduled(self, id: str) -> None:
        wanted = requests.Cancel(self._callee.component.path, id)
        await self._ask(messages.SCHEDULING, args=requests.encode(wanted))

    def log(self, level: str, message: Any) -> None:
        self._reporting.log.add(level, message)

    def report(self, kind: str, value: Any, *, durable: bool, each_caller: bool) -> None:
        component = self._callee.component.path
        items = self._reporting.items
        items.add(kind, component, value, durable=durable, each_caller=each_caller)

    def describe(self, error: BaseException) -> ExceptionReport:
        return self._reporting.describer.describe(error)

    def _opened(self, target: Any) -> Any:
        """What a target stands for: a handle for its function, everything else for itself."""
        return handles.opened(self._image, self._secret, target)

    async def _ask(self, kind: str, component: str = "", path: str = "", *, args: bytes) -> Value:
        """Have the server do something. Raises what it says has failed."""
        reporting, tracing = self._reporting, self._reporting.tracing
        span_id, began_ns = ("", 0) if tracing is None else (tracing.span_id(), tracing.now_ns())
        reply = await self._calls.ask(
            self._run_id, kind, component, path, args, span_id, reporting.user_id()
        )
        error = _error_of(reply)
        if tracing is not None and kind != messages.SCHEDULING:
            tracing.called(
                CalledOut(kind, path, component, began_ns, tracing.now_ns(), error, reply.traced)
            )
        if error is None:
            assert reply.value is not None
            return codec.decode(reply.value)
        if reply.error_id:
            reporting.errors.adopt(error, reply.error_id)
        raise error


def _error_of(reply: messages.CallBack) -> Exception | None:
    """What the function that was called raised, as its caller gets it."""
    if reply.value is not None:
        return None
    if reply.data is None:
        return FunctionCallError(reply.error)
    return ConvexError(codec.decode(reply.data))

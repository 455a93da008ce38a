"""One run of an action, inside an action isolate.

Owns the action's context: calls that leave over the isolate's channel, the environment as it was
when the action started, log lines. Never opens a transaction of its own for the handler. One
invariant: an action waits only on its own calls; several run side by side in one isolate.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import msgspec

from pyconvex.database import Catalog, Transaction
from pyconvex.functions import (
    ActionCtx,
    BlockingActionCtx,
    ConvexError,
    CredentialRefused,
    EnvironmentView,
    FunctionCallError,
    FunctionHandle,
    FunctionKind,
    HttpActionCtx,
)
from pyconvex.functions.blocking import Wait
from pyconvex.functions.scheduler import Retry, When
from pyconvex.identity import Identity
from pyconvex.runlog import ExceptionReport, LogLine, LogLines, Report, Usage
from pyconvex.runlog.exceptions import Describer, ErrorIds
from pyconvex.runlog.hooks import CalledOut, Whose
from pyconvex.runlog.report import Item, Items
from pyconvex.runlog.traces import TraceContext
from pyconvex.runtime import purity
from pyconvex.runtime.app import handles
from pyconvex.runtime.app.analysis import AppImage, ComponentImage
from pyconvex.runtime.app.calling import (
    Callee,
    Caller,
    bind_arguments,
    crossing,
    encode_result,
    find_endpoint,
    find_for_client,
    find_for_function,
    find_named,
    find_to_schedule,
    read_arguments,
)
from pyconvex.runtime.http_actions.http_action import respond
from pyconvex.runtime.processes import messages
from pyconvex.runtime.running.person import Person, nobody_in
from pyconvex.runtime.running.run import (
    CURRENT_LOG,
    describe_error,
    describer_for,
    encode_exception,
    environment_of,
    is_callers_fault,
)
from pyconvex.runtime.running.threads import in_thread
from pyconvex.runtime.running.tracing import Tracing, trace_within
from pyconvex.runtime.scheduling import requests
from pyconvex.storage import Reader
from pyconvex.values import Value, codec

#: How long lines gather before they are told, in seconds: short actions tell them at their end.
TELL_AFTER_S = 0.02
#: The same of items, whose person is the one that is known when they are told: most actions know
#: him by then, and the short ones tell all at their end.
TELL_ITEMS_AFTER_S = 0.25


class ActionRunner:
    """Runs the actions of one isolate; `call_back` completes what they wait for.

    `on_raised` gets what an action raised, which is of use only in this process.
    """

    def __init__(
        self,
        image: AppImage,
        reader: Reader,
        send: Callable[[messages.Frame], None],
        on_raised: Callable[[messages.Start, BaseException], None] = lambda start, raised: None,
    ) -> None:
        self.image = image
        self._reader = reader
        self._send = send
        self._on_raised = on_raised
        self._catalog = Catalog()
        self._call_ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[messages.CallBack]] = {}
        #: Whether a thread goes on here although its action was cancelled.
        self.left_thread = False

    async def run(self, start: messages.Start, who: Identity) -> messages.Finished:
        """Run one action to its end; whatever it raises becomes part of what is returned."""
        person = Person(who, self.image.user_id, start.session_id)
        reporting = Reporting(
            start.execution_id,
            self.image,
            person,
            start,
            lambda lines, items: self._send(
                messages.Told(
                    start.run_id, lines, items, person.on_record(personal=True), person.session_id
                )
            ),
        )
        CURRENT_LOG.set(reporting.log)
        value = data = None
        error = ""
        raised: BaseException | None = None
        run = self._respond if start.kind == messages.HTTP_ACTION else self._invoke
        try:
            value = await run(start, reporting)
        except (Exception, asyncio.CancelledError) as caught:
            if _this_task_is_cancelled():
                raise
            raised = caught
            self._on_raised(start, caught)
            error, data = describe_error(caught, actions=True)
        report = reporting.report(raised)
        return messages.Finished(start.run_id, value, error, data, report, True, b"")

    async def _invoke(self, start: messages.Start, reporting: Reporting) -> bytes:
        callee = find_for_client(
            self.image, start.component, start.path, start.kind, public_only=start.public_only
        )
        with self._snapshot() as tables:
            bound = bind_arguments(
                callee, read_arguments(callee, start.args), tables.namespace(start.component)
            )
            environment = _environment(callee.component, tables)
        frame = ActionFrame(self, start, callee, environment, reporting)
        purity.enter_call(frame)  # for good: each action is a task of its own
        with reporting.traced(callee.path, callee.component.path, environment):
            if callee.function.blocking:
                result = await self._in_thread(callee, frame, bound)
            else:
                result = await callee.function.handler(ActionCtx(frame), **bound)
        with self._snapshot() as tables:
            return encode_result(callee, result, tables.namespace(start.component))

    async def _in_thread(self, callee: Callee, frame: ActionFrame, bound: dict[str, Any]) -> Any:
        def work(wait: Wait) -> Any:
            return callee.function.handler(BlockingActionCtx(frame, wait), **bound)

        try:
            return await in_thread(work, callee.path)
        except asyncio.CancelledError:
            self.left_thread |= _this_task_is_cancelled()
            raise

    async def _respond(self, start: messages.Start, reporting: Reporting) -> bytes:
        endpoint = find_endpoint(self.image, start.component, start.path)
        head = msgspec.msgpack.decode(start.args, type=messages.RequestHead)
        with self._snapshot() as tables:
            environment = _environment(endpoint.component, tables)
        frame = ActionFrame(self, start, endpoint, environment, reporting, head.refused)
        purity.enter_call(frame)

        async def ask(kind: str, args: bytes = b"") -> messages.CallBack:
            return await self._exchange(start.run_id, kind, "", "", args)

        with reporting.traced(endpoint.path, endpoint.component.path, environment):
            await respond(endpoint.action, HttpActionCtx(frame), head, ask)
        return b"null"

    @contextmanager
    def _snapshot(self) -> Iterator[Transaction]:
        """A short look at the newest snapshot, for table numbers and variables."""
        self._reader.begin()
        try:
            # Reads only, so the clock and the source of new ids don't matter.
            yield Transaction(
                self._reader,
                now_ms=0.0,
                random=random.Random(0),  # noqa: S311  # never asked
                catalog=self._catalog,
            )
        finally:
            self._reader.end()

    async def call_out(
        self,
        run_id: int,
        callee: Callee,
        kind: FunctionKind,
        arguments: Mapping[str, Any],
        reporting: Reporting,
    ) -> Any:
        """Ask the server to run another function, and wait for its result."""
        component = callee.component.path
        value = await self._ask(
            run_id,
            kind,
            component,
            callee.path,
            codec.encode(crossing(callee, arguments)),
            reporting,
        )
        with self._snapshot() as transaction:
            tables = transaction.namespace(component)
            return callee.function.returns.check(value, tables)

    async def schedule(
        self,
        run_id: int,
        caller: Caller,
        when: When,
        target: Any,
        arguments: Mapping[str, Any],
        retry: Retry | None,
        reporting: Reporting,
    ) -> str:
        """Ask the server to have a function run later; the job's id."""
        callee = find_to_schedule(self.image, caller, target)
        with self._snapshot() as transaction:
            tables = transaction.namespace(callee.component.path)
            trace = reporting.trace_within()
            request = requests.request(caller, callee, when, arguments, retry, tables, trace)
        requests.Budget().count(request)
        encoded = requests.encode(request)
        return str(await self._ask(run_id, messages.SCHEDULING, "", "", encoded, reporting))

    async def cancel_scheduled(
        self, run_id: int, caller: Caller, id: str, reporting: Reporting
    ) -> None:
        """Ask the server to cancel a job of the caller's component."""
        encoded = requests.encode(requests.Cancel(caller.component.path, id))
        await self._ask(run_id, messages.SCHEDULING, "", "", encoded, reporting)

    async def _ask(
        self, run_id: int, kind: str, component: str, path: str, args: bytes, reporting: Reporting
    ) -> Value:
        tracing = reporting.tracing
        span_id, began_ns = ("", 0) if tracing is None else (tracing.span_id(), tracing.now_ns())
        reply = await self._exchange(
            run_id, kind, component, path, args, span_id, reporting.user_id()
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

    async def _exchange(
        self,
        run_id: int,
        kind: str,
        component: str,
        path: str,
        args: bytes,
        span_id: str = "",
        user_id: str | None = None,
    ) -> messages.CallBack:
        call_id = next(self._call_ids)
        future: asyncio.Future[messages.CallBack] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = future
        self._send(messages.CallOut(run_id, call_id, kind, component, path, args, span_id, user_id))
        return await future

    def call_back(self, reply: messages.CallBack) -> None:
        """Complete a call."""
        future = self._pending.pop(reply.call_id, None)
        if future is not None and not future.done():
            future.set_result(reply)


def _error_of(reply: messages.CallBack) -> Exception | None:
    """What the function that was called raised, as its caller gets it."""
    if reply.value is not None:
        return None
    if reply.data is None:
        return FunctionCallError(reply.error)
    return ConvexError(codec.decode(reply.data))


def _environment(component: ComponentImage, tables: Transaction) -> dict[str, str]:
    """All variables that functions of this component see now."""
    app = tables.namespace("")
    everything = app.env_all() if component.path == "" else {}
    return everything | dict(environment_of(component, tables))


def _this_task_is_cancelled() -> bool:
    """Whether a cancellation is meant for this run, and not for something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Reporting:
    """What one action reports."""

    def __init__(
        self,
        execution_id: str,
        image: AppImage,
        person: Person,
        start: messages.Start,
        tell: Callable[[tuple[LogLine, ...], tuple[Item, ...]], None],
    ) -> None:
        self.person = person
        self.log = LogLines(lambda: time.time() * 1000, self._on_line)
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        #: Lines that the server has not been told yet.
        self._untold: list[LogLine] = []
        self.items = Items(self._on_item)
        self._items_are_due = False
        self.errors = ErrorIds(execution_id)
        self.describer: Describer = describer_for(self.errors, image)
        self._start = start
        #: None without hooks.
        self.tracing = (
            Tracing(
                image.hooks,
                start,
                self.items,
                time.time_ns,
                self.describer.describe,
                lambda: Whose(self.user_id(), person.session_id),
            )
            if image.hooks
            else None
        )
        self._began = perf_counter()

    @contextmanager
    def traced(self, path: str, component: str, env: Mapping[str, str]) -> Iterator[None]:
        """The handler runs inside the block."""
        if self.tracing is None:
            yield
            return
        scope = self.tracing.enter(path, self._start.kind, component, None, env.get)
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.tracing.leave(scope, error)
            del error  # or this frame and its error would keep each other, and all that it hoards

    def trace_within(self) -> TraceContext:
        """Where something is that the action asks of others right now."""
        return trace_within(self._start, self.tracing, self.user_id())

    def user_id(self) -> str | None:
        """Whose call it is, as is known by now."""
        return self.person.on_record(personal=True)

    def report(self, raised: BaseException | None) -> Report:
        """All of it, at the end."""
        self.log.lines()  # what was printed without a line break is a line now
        lines, self._untold = tuple(self._untold), []
        # Several actions share the isolate's processor, so what one used of it can't be told.
        return Report(
            Usage(wall_ms=(perf_counter() - self._began) * 1000),
            lines,
            (*self.items.take_soon(), *self.items.items),
            encode_exception(self.describer, raised),
            self.person.on_record(personal=True),
            self.items.dropped,
            is_callers_fault(raised),
            self.person.session_id,
        )

    def _on_line(self, line: LogLine) -> None:
        self._untold.append(line)
        if len(self._untold) == 1:
            # Perhaps from a thread that the action started.
            self._loop.call_soon_threadsafe(self._loop.call_later, TELL_AFTER_S, self._tell_lines)

    def _on_item(self) -> None:
        if not self._items_are_due:
            self._items_are_due = True
            later = self._loop.call_later
            self._loop.call_soon_threadsafe(later, TELL_ITEMS_AFTER_S, self._tell_items)

    def _tell_lines(self) -> None:
        lines, self._untold = tuple(self._untold), []
        if lines:
            self._tell(lines, ())

    def _tell_items(self) -> None:
        self._items_are_due = False
        items = self.items.take_soon()
        if items:
            self._tell((), items)


class ActionFrame:
    """What an action's context asks for (`pyconvex.functions.context.Run`)."""

    def __init__(
        self,
        runner: ActionRunner,
        start: messages.Start,
        callee: Caller,
        environment: Mapping[str, str],
        reporting: Reporting,
        refused: str = "",
    ) -> None:
        self._runner = runner
        self._run_id = start.run_id
        self._secret = start.cursor_secret
        self._callee = callee
        #: Why the caller's credential is not valid; "" when it is, or there is none.
        self._refused = refused
        self._person = reporting.person if callee.component.path == "" else None
        self._environment = environment
        self._reporting = reporting

    @property
    def function_name(self) -> str:
        return self._callee.path

    @property
    def user_id(self) -> str | None:
        return None if self._person is None else self._person.user_id

    @property
    def identity_attributes(self) -> Mapping[str, Any] | None:
        if self._refused:
            raise CredentialRefused(self._refused)
        return None if self._person is None else self._person.attributes

    def set_user_id(self, user_id: str | None) -> None:
        if self._person is None:
            raise nobody_in(self._callee.component.path)
        self._person.set_user_id(user_id)

    @property
    def session_id(self) -> str | None:
        return None if self._person is None else self._person.session_id

    def set_session_id(self, session_id: str | None) -> None:
        if self._person is None:
            raise nobody_in(self._callee.component.path, "session id")
        self._person.set_session_id(session_id)

    @property
    def traceparent(self) -> str:
        return self._reporting.trace_within().traceparent()

    @property
    def environment(self) -> EnvironmentView:
        return EnvironmentView(list(self._environment), self._environment.get)

    def handle_of(self, target: Any) -> FunctionHandle:
        target = handles.opened(self._runner.image, self._secret, target)
        callee = find_named(self._runner.image, self._callee, target)
        return handles.handle_of(self._secret, callee)

    def call(self, kind: str, target: Any, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        function_kind = FunctionKind(kind)
        target = handles.opened(self._runner.image, self._secret, target)
        callee = find_for_function(self._runner.image, self._callee, target, function_kind)
        return self._runner.call_out(
            self._run_id, callee, function_kind, arguments, self._reporting
        )

    async def enqueue(self, queue: str, value: Any, mount: str | None) -> None:
        raise FunctionCallError(
            "An action can't append to a queue itself: call a mutation of this component that does."
        )

    def schedule(
        self, when: When, target: Any, arguments: Mapping[str, Any], retry: Retry | None
    ) -> Awaitable[str]:
        target = handles.opened(self._runner.image, self._secret, target)
        return self._runner.schedule(
            self._run_id, self._callee, when, target, arguments, retry, self._reporting
        )

    def cancel_scheduled(self, id: str) -> Awaitable[None]:
        return self._runner.cancel_scheduled(self._run_id, self._callee, id, self._reporting)

    def log(self, level: str, message: Any) -> None:
        self._reporting.log.add(level, message)

    def report(self, kind: str, value: Any, *, durable: bool, each_caller: bool) -> None:
        component = self._callee.component.path
        items = self._reporting.items
        items.add(kind, component, value, durable=durable, each_caller=each_caller)

    def describe(self, error: BaseException) -> ExceptionReport:
        return self._reporting.describer.describe(error)

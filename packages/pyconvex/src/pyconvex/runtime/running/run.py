"""One run of a query or mutation, inside an isolate.

Owns the run from its first read to its proposal: nested calls, savepoints, the caller's identity,
environment reads and log lines. Never commits; the server does. One invariant: a run's result
depends only on its arguments, its seed and clock, and what its read set covers.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Mapping
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from functools import cached_property
from time import perf_counter, thread_time
from typing import Any

from pyconvex.database import Catalog, DatabaseError, Namespace, Transaction
from pyconvex.functions import (
    ConvexError,
    EnvironmentView,
    FunctionCallError,
    FunctionHandle,
    FunctionKind,
    MutationCtx,
    QueryCtx,
)
from pyconvex.functions.component import RESERVED_VARIABLES
from pyconvex.functions.db import DatabaseReader, DatabaseWriter
from pyconvex.functions.pages import Pager
from pyconvex.functions.scheduler import Retry, When
from pyconvex.functions.schema import schema_check
from pyconvex.identity import Identity
from pyconvex.runlog import ExceptionReport, LogLines, Report, Usage
from pyconvex.runlog.exceptions import Describer, ErrorIds
from pyconvex.runlog.hooks import CallScope, Whose
from pyconvex.runlog.report import Items, encode_value
from pyconvex.runlog.traces import TraceContext
from pyconvex.runtime import purity, system_queries
from pyconvex.runtime.app import handles
from pyconvex.runtime.app.analysis import AppImage, ComponentImage
from pyconvex.runtime.app.calling import (
    MAX_CALL_DEPTH,
    Callee,
    bind_arguments,
    crossing,
    encode_result,
    find_for_client,
    find_for_function,
    find_named,
    find_open_queue,
    find_to_schedule,
    read_arguments,
    too_deep,
)
from pyconvex.runtime.app.loader import APP_PACKAGE
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.memory import let_go
from pyconvex.runtime.purity.loop import new_loop
from pyconvex.runtime.running import limits
from pyconvex.runtime.running.person import Person, nobody_in
from pyconvex.runtime.running.tracing import Tracing, trace_within
from pyconvex.runtime.scheduling import job_run, requests
from pyconvex.runtime.settings import addresses
from pyconvex.storage import Proposal, Reader
from pyconvex.values import Value, codec

#: Where `print` and `logging` of the function that runs go; None outside of a run.
CURRENT_LOG: ContextVar[LogLines | None] = ContextVar("pyconvex_current_log", default=None)


class StaleImageError(Exception):
    """The snapshot is of a newer deploy than this process's code."""


class PureRun:
    """Runs one query or mutation over one snapshot. Make one for each run."""

    def __init__(
        self,
        image: AppImage,
        reader: Reader,
        catalog: Catalog,
        start: messages.Start,
        who: Identity,
    ) -> None:
        self.image = image
        self.start = start
        self.log = LogLines(lambda: start.now_ms)
        self.items = Items()
        #: What the function raised; of use only in this process.
        self.raised: BaseException | None = None
        self._stale = False
        #: Components whose code was found to be the one in force, as it is for the whole run.
        self._checked: dict[str, Namespace] = {}
        self._person = Person(who, image.user_id, start.session_id)
        self._scheduled = requests.Budget()
        self._pager = Pager(start.cursor_secret, start.journal)
        entropy = purity.Entropy(start.seed)
        self._active = purity.ActiveRun(start.now_ms, entropy)
        self.tracing = self._traced() if image.hooks else None
        self.transaction = Transaction(
            reader,
            now_ms=start.now_ms,
            random=entropy,
            catalog=catalog,
            check=self._check_document,
        )

    def _traced(self) -> Tracing:
        began_ns, offset_ns = purity.real_steady_ns(), self._active.now_ns
        return Tracing(
            self.image.hooks,
            self.start,
            self.items,
            lambda: offset_ns + purity.real_steady_ns() - began_ns,
            lambda error: self.describer.describe(error),
            lambda: Whose(self._user_id(), self._person.session_id),
        )

    @cached_property
    def describer(self) -> Describer:
        """What describes this run's errors, and keeps their ids; most runs have none."""
        return describer_for(ErrorIds(self.start.execution_id), self.image)

    def execute(self) -> messages.Finished:
        """Run the function; whatever it raises becomes part of what is returned."""
        token = CURRENT_LOG.set(self.log)
        value = data = None
        error = ""
        began, cpu_began = perf_counter(), thread_time()
        purity.begin(self._active)
        try:
            value = new_loop().run(self._main())
        except (Exception, asyncio.CancelledError) as raised:
            self.raised = raised
            error, data = describe_error(raised)
        finally:
            purity.end()
            CURRENT_LOG.reset(token)
        for warning in self.transaction.warnings():
            self.log.warn_of_limit(warning)
        wall_ms, cpu_ms = (perf_counter() - began) * 1000, (thread_time() - cpu_began) * 1000
        finished = self._finished(value, error, data, wall_ms, cpu_ms)
        self.transaction.close()
        return finished

    def _finished(
        self, value: bytes | None, error: str, data: bytes | None, wall_ms: float, cpu_ms: float
    ) -> messages.Finished:
        return messages.Finished(
            self.start.run_id,
            value,
            error,
            data,
            self._report(wall_ms, cpu_ms),
            self._person.observed,
            self._proposal(failed=value is None).encode(),
            self._stale,
            # A run that failed has decided nothing.
            self.start.journal if value is None else self._pager.journal,
            self._active.observed_time,
        )

    def _proposal(self, *, failed: bool) -> Proposal:
        """What to commit: nothing of a run that failed, whose reads still tell when to try
        again.
        """
        proposal = self.transaction.proposal(source=self.start.path)
        if not failed:
            return proposal
        return Proposal(snapshot_ts=proposal.snapshot_ts, reads=proposal.reads)

    def _report(self, wall_ms: float, cpu_ms: float) -> Report:
        used = self.transaction.usage
        return Report(
            Usage(
                used.documents_read,
                used.bytes_read,
                used.documents_written,
                used.bytes_written,
                wall_ms,
                cpu_ms,
            ),
            tuple(self.log.lines()),
            tuple(self.items.items),
            encode_exception(self.describer, self.raised) if self.raised is not None else b"",
            self._user_id(),
            self.items.dropped,
            is_callers_fault(self.raised),
            self._person.session_id,
        )

    def _user_id(self) -> str | None:
        # A query runs once for everybody; a mutation runs for its caller, looked at or not.
        personal = self._person.observed or self.start.kind == "mutation"
        return self._person.on_record(personal=personal)

    def trace_within(self) -> TraceContext:
        """Where something is that this run schedules or asks of others right now."""
        return trace_within(self.start, self.tracing, self._user_id())

    def _check_document(self, namespace: Namespace, table: str, document: dict[str, Value]) -> None:
        component = self.image.components.get(namespace.path)
        if component is not None:
            schema_check(component.schema, namespace, table, document)

    async def _main(self) -> bytes:
        start = self.start
        if system_queries.is_system(start.path) and self._person.is_admin:
            return await self._system_query()
        # Before anything is looked up: also "there is no such function" is true for this code only.
        namespace = self._check_version(start.component)
        job = start.job if start.job is not None and start.job.itself else None
        if job is not None and not job_run.begin(self.transaction, job):
            return job_run.NOTHING
        callee = find_for_client(
            self.image, start.component, start.path, start.kind, public_only=start.public_only
        )
        frame = Frame(self, callee, namespace, 1, self.log)
        result = await self._invoke(frame, callee, read_arguments(callee, start.args))
        if job is not None:
            job_run.succeed(self.transaction, job, result, self.log.as_list())
        return result

    async def _system_query(self) -> bytes:
        """Run one of the host's own queries: with whatever app in force, or none."""
        start = self.start
        self._person.observed = True  # nobody else may get this from a cache
        callee = system_queries.find(start.component, start.path, start.kind)
        namespace = self.transaction.namespace(start.component, system=True)
        frame = _SystemFrame(self, callee, namespace, 1, self.log)
        return await self._invoke(frame, callee, read_arguments(callee, start.args))

    async def invoke_within(
        self, callee: Callee, arguments: Any, depth: int, caller: CallScope | None
    ) -> bytes:
        """Run a nested call to its encoded, checked result; a mutation in a savepoint of its
        own.
        """
        namespace = self._check_version(callee.component.path)
        log = self.log.within(callee.path, callee.component.path)
        frame = Frame(self, callee, namespace, depth, log)
        return await self._invoke(frame, callee, arguments, caller)

    async def _invoke(
        self, frame: Frame, callee: Callee, arguments: Any, caller: CallScope | None = None
    ) -> bytes:
        if self.tracing is None:
            return await self._handle(frame, callee, arguments)
        kind, component, transaction = callee.function.kind, callee.component, self.transaction

        # No frame in it: what the frame refers to would refer back, and outlive the run.
        def env(name: str) -> str | None:
            return environment_of(component, transaction).get(name)

        frame.scope = self.tracing.enter(callee.path, kind.value, component.path, caller, env)
        error: BaseException | None = None
        try:
            return await self._handle(frame, callee, arguments)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.tracing.leave(frame.scope, error)
            del error  # or this frame and its error would keep each other, and all that it hoards

    async def _handle(self, frame: Frame, callee: Callee, arguments: Any) -> bytes:
        namespace, depth, log = frame.namespace, frame.depth, frame.lines
        bound = bind_arguments(callee, arguments, namespace)
        mutates = callee.function.kind is FunctionKind.MUTATION
        if depth == 1:
            self._active.ticking = mutates
        token, log_token = purity.enter_call(frame), CURRENT_LOG.set(log)
        try:
            with self.transaction.savepoint() if mutates and depth > 1 else nullcontext():
                result = await callee.function.handler(frame.context(), **bound)
                return encode_result(callee, result, namespace)
        finally:
            log.end()
            with suppress(ValueError):  # collected in another context, as in `leave_call`
                CURRENT_LOG.reset(log_token)
            purity.leave_call(token)

    def opened(self, target: Any) -> Any:
        """What a target stands for: a handle for its function, everything else for itself."""
        try:
            return handles.opened(self.image, self.start.cursor_secret, target)
        except handles.HandleNotFound:
            for path in self.image.components:  # each deploy may bring the function back
                self._check_version(path)
            raise

    def handle_of(self, caller: Callee, target: Any) -> FunctionHandle:
        """The handle of what `caller` refers to."""
        callee = find_named(self.image, caller, self.opened(target))
        return handles.handle_of(self.start.cursor_secret, callee)

    def tables_of(self, component: ComponentImage) -> Namespace:
        """The tables and queues of a component, for code of this run."""
        return self._check_version(component.path)

    def _check_version(self, path: str) -> Namespace:
        """The component's tables, provided that this process has the code that is in force."""
        namespace = self._checked.get(path)
        if namespace is not None:
            return namespace
        namespace = self.transaction.namespace(path)
        image = self.image.components.get(path)
        if namespace.component_version() != (image.version if image else None):
            self._stale = True  # kept, in case a handler catches the error
            raise StaleImageError
        self._checked[path] = namespace
        return namespace

    def schedule(self, caller: Callee, when: When, target: Any, arguments: Any, retry: Any) -> str:
        """Have a function run later, if this run commits."""
        callee = find_to_schedule(self.image, caller, self.opened(target))
        tables = self.transaction.namespace(callee.component.path)
        trace = self.trace_within()
        request = requests.request(caller, callee, when, arguments, retry, tables, trace)
        self._scheduled.count(request)
        return requests.apply(self.transaction, request, self.start.job)

    def cancel_scheduled(self, caller: Callee, id: str) -> None:
        """Cancel a job of the caller's component, if this run commits."""
        request = requests.Cancel(caller.component.path, id)
        requests.apply(self.transaction, request, self.start.job)

    def pager_for(self, component: ComponentImage, depth: int) -> Pager | None:
        """What a function call may paginate with: the journal is the first call's alone."""
        if component.path:
            return None
        return self._pager if depth == 1 else Pager(self.start.cursor_secret, None)

    def own_pager(self) -> Pager:
        """The pagination of this run's first call, whichever component it looks into."""
        return self._pager

    def person_for(self, component: ComponentImage) -> Person | None:
        """The caller as functions of this component see them; components see nobody."""
        return None if component.path else self._person


class Frame:
    """One function call of a run: what its context asks for (`pyconvex.functions.context.Run`)."""

    def __init__(
        self, run: PureRun, callee: Callee, namespace: Namespace, depth: int, log: LogLines
    ) -> None:
        self._run = run
        self._callee = callee
        self.namespace = namespace
        self.depth = depth
        self.lines = log
        #: The call as hooks see it; None without hooks.
        self.scope: CallScope | None = None

    def context(self) -> QueryCtx:
        """The context for the handler."""
        component = self._callee.component
        pager = self._run.pager_for(component, self.depth)
        if self._callee.function.kind is FunctionKind.MUTATION:
            return MutationCtx(self, DatabaseWriter(self.namespace, component.schema, pager))
        return QueryCtx(self, DatabaseReader(self.namespace, component.schema, pager))

    @property
    def function_name(self) -> str:
        return self._callee.path

    @property
    def user_id(self) -> str | None:
        person = self._run.person_for(self._callee.component)
        return None if person is None else person.user_id

    @property
    def identity_attributes(self) -> Mapping[str, Any] | None:
        person = self._run.person_for(self._callee.component)
        return None if person is None else person.attributes

    def set_user_id(self, user_id: str | None) -> None:
        person = self._run.person_for(self._callee.component)
        if person is None:
            raise nobody_in(self._callee.component.path)
        person.set_user_id(user_id)

    @property
    def session_id(self) -> str | None:
        person = self._run.person_for(self._callee.component)
        return None if person is None else person.session_id

    def set_session_id(self, session_id: str | None) -> None:
        person = self._run.person_for(self._callee.component)
        if person is None:
            raise nobody_in(self._callee.component.path, "session id")
        person.set_session_id(session_id)

    @property
    def traceparent(self) -> str:
        return self._run.trace_within().traceparent()

    @property
    def environment(self) -> EnvironmentView:
        return environment_of(self._callee.component, self._run.transaction)

    def handle_of(self, target: Any) -> FunctionHandle:
        return self._run.handle_of(self._callee, target)

    def call(self, kind: str, target: Any, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        return self._call(FunctionKind(kind), target, arguments)

    async def _call(self, kind: FunctionKind, target: Any, arguments: Mapping[str, Any]) -> Any:
        target = self._run.opened(target)
        callee = find_for_function(self._run.image, self._callee, target, kind)
        if self.depth >= MAX_CALL_DEPTH:
            raise FunctionCallError(too_deep(callee.path))
        given = crossing(callee, arguments)
        encoded = await self._run.invoke_within(callee, given, self.depth + 1, self.scope)
        tables = self._run.transaction.namespace(callee.component.path)
        return decode_result(callee, encoded, tables)

    async def enqueue(self, queue: str, value: Any, mount: str | None) -> None:
        namespace = self.namespace
        if mount is not None:
            child = find_open_queue(self._run.image, self._callee.component, mount, queue)
            namespace = self._run.tables_of(child)
        namespace.enqueue(queue, codec.encode(value))

    async def schedule(
        self, when: When, target: Any, arguments: Mapping[str, Any], retry: Retry | None
    ) -> str:
        return self._run.schedule(self._callee, when, target, arguments, retry)

    async def cancel_scheduled(self, id: str) -> None:
        self._run.cancel_scheduled(self._callee, id)

    def log(self, level: str, message: Any) -> None:
        self.lines.add(level, message)

    def report(self, kind: str, value: Any, *, durable: bool, each_caller: bool) -> None:
        component = self._callee.component.path
        self._run.items.add(kind, component, value, durable=durable, each_caller=each_caller)

    def describe(self, error: BaseException) -> ExceptionReport:
        return self._run.describer.describe(error)


class _SystemFrame(Frame):
    """The call of a system query."""

    def context(self) -> QueryCtx:
        pager = self._run.own_pager()
        return system_queries.SystemCtx(self, self._run.transaction, self.namespace, pager)


def decode_result(callee: Callee, encoded: bytes, tables: Namespace) -> Any:
    """A nested call's result as the caller gets it, in the types that the callee declares."""
    return callee.function.returns.check(codec.decode(encoded), tables)


def environment_of(component: ComponentImage, transaction: Transaction) -> EnvironmentView:
    """The variables of a component, each traced to its literal or app-level variable.

    The deployment's two addresses are among them everywhere.
    """
    specs = {spec.name: spec for spec in component.env}
    read_app_variable = transaction.namespace("").env

    def read(name: str) -> str | None:
        if name in RESERVED_VARIABLES:
            address = addresses.address(transaction, name)
            below = component.site_prefix if name == addresses.SITE_URL else ""
            return None if address is None else address + below
        spec = specs.get(name)
        if spec is None:
            # The app reads whatever the operator set; a component only what it declares.
            return read_app_variable(name) if component.path == "" else None
        if spec.literal is not None:
            return spec.literal
        return read_app_variable(spec.source) if spec.source is not None else None

    return EnvironmentView([*specs, *sorted(RESERVED_VARIABLES)], read)


def describe_error(error: BaseException, *, actions: bool = False) -> tuple[str, bytes | None]:
    """An error as its text for developers, and the data of a `ConvexError`."""
    if isinstance(error, MemoryError):
        let_go(error)
        return limits.out_of_memory(actions=actions) + _lines_of(error), None
    if isinstance(error, (FunctionCallError, DatabaseError)) and not _own_frames(error):
        return str(error), None
    name = type(error).__name__
    text = f"Uncaught {name}: {error}"
    return text + _lines_of(error), _data_of(error)


def is_callers_fault(error: BaseException | None) -> bool:
    """Whether a call could not be, and no line of the app's has anything to do with it."""
    return isinstance(error, FunctionCallError) and not _own_frames(error)


def _lines_of(error: BaseException) -> str:
    return "".join(f"\n    at {f.name} ({f.filename}:{f.lineno})" for f in _own_frames(error))


def describer_for(ids: ErrorIds, image: AppImage) -> Describer:
    """Describes the errors of one run: the functions folder is the app, the host is not shown."""
    return Describer(
        ids,
        in_app=_module_of_app,
        is_host=_is_host,
        data_of=_data_of,
        variables=image.report_variables,
    )


def encode_exception(describer: Describer, error: BaseException | None) -> bytes:
    """The report of what a run raised; empty when it raised nothing."""
    return b"" if error is None else encode_value(describer.describe(error))


def _module_of_app(module: str) -> str | None:
    package, dot, rest = module.partition(".")
    return rest if dot and package.startswith(APP_PACKAGE) else None


def _is_host(file: str) -> bool:
    return file.startswith(HOST_FOLDER)


def _data_of(error: BaseException) -> bytes | None:
    return codec.encode(error.data) if isinstance(error, ConvexError) else None


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames outside of the host, innermost first, as Convex lists them."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f for f in reversed(frames) if not _is_host(f.filename)]


#: Where the host's own code is.
HOST_FOLDER = __file__.rsplit("/runtime/", 1)[0] + "/"

"""What a handler gets as `ctx`, one class per kind of function.

Owns the typed surface; the work is done by the run that made the context (`Run`, implemented by the
runtime). One invariant: a context offers only what its kind may do, so that most mistakes are type
errors before they are errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from pyconvex.functions.arguments import named_arguments
from pyconvex.functions.db import DatabaseReader, DatabaseWriter
from pyconvex.functions.environment import EnvironmentView
from pyconvex.functions.references import (
    ComponentReference,
    FunctionHandle,
    FunctionReference,
    ModuleReference,
    Target,
)
from pyconvex.functions.registration import (
    ActionFunction,
    MutationFunction,
    QueryFunction,
)
from pyconvex.functions.scheduler import Scheduler, SchedulingRun
from pyconvex.runlog import ExceptionReport
from pyconvex.runlog.entries import AUDIT, is_own

P = ParamSpec("P")
R = TypeVar("R")


class Run(SchedulingRun, Protocol):
    """What the runtime gives a context: the services of one run, in one component."""

    @property
    def function_name(self) -> str:
        """The running function's path, such as `users:get`."""

    @property
    def user_id(self) -> str | None:
        """Whose call this is; reading it makes the result that person's own."""

    @property
    def identity_attributes(self) -> Mapping[str, Any] | None:
        """The caller's identity as Convex describes it; reading it makes the result that
        person's.
        """

    def set_user_id(self, user_id: str | None) -> None:
        """Say whose call this is, for the rest of the run."""

    @property
    def session_id(self) -> str | None:
        """The session of the client's analytics, where it is known."""

    def set_session_id(self, session_id: str | None) -> None:
        """Say which session this call belongs to, for the rest of the run."""

    @property
    def traceparent(self) -> str:
        """Where in which trace the run is right now, in W3C's form."""

    @property
    def environment(self) -> EnvironmentView:
        """The component's variables."""

    def call(self, kind: str, target: Any, arguments: Mapping[str, Any]) -> Awaitable[Any]:
        """Run another function as part of this run."""

    def handle_of(self, target: Any) -> FunctionHandle:
        """The handle of a function that the running one may refer to."""

    def enqueue(self, queue: str, value: Any, mount: str | None) -> Awaitable[None]:
        """Append to one of the component's queues, or to an open one of a component in it."""

    def log(self, level: str, message: Any) -> None:
        """Add a line to the run's report."""

    def report(self, kind: str, value: Any, *, durable: bool, each_caller: bool) -> None:
        """Add an item to the run's report."""

    def describe(self, error: BaseException) -> ExceptionReport:
        """An error as the run's report shows it."""


class Auth:
    """Who calls."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def get_user_identity(self) -> Mapping[str, Any] | None:
        """The caller's identity with Convex's attribute names, or None for an anonymous caller."""
        return self._run.identity_attributes


class Ctx:
    """What every context has."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def user_id(self) -> str | None:
        """Whose call this is, or None: the one answer that events, logs and errors share."""
        return self._run.user_id

    def set_user_id(self, user_id: str | None) -> None:
        """Say whose call this is: `ctx.user_id` from now on, also in functions that this run calls
        in its own transaction.

        For apps whose own id of a person takes a read, such as the row that belongs to a token
        identifier. Where the identity's attributes are enough, `define_app(user_id=…)` says it once
        for all functions.
        """
        self._run.set_user_id(user_id)

    @property
    def session_id(self) -> str | None:
        """The session of the caller's analytics, such as a replay's, or None when nobody named it.

        It comes with HTTP calls of mutations, actions and HTTP actions in the header that
        `define_app(session_header=…)` names, goes along with what an action calls, or is what
        `set_session_id` said. Queries run once for everybody, so they see no header: what they
        report is of the session of whoever asked over HTTP all the same.
        """
        return self._run.session_id

    def set_session_id(self, session_id: str | None) -> None:
        """Say which session this call belongs to: `ctx.session_id` from now on.

        For calls over WebSocket, whose client passes the id as an argument. Log lines, errors and
        events of the run carry it. Raises `ValueError` for what is no id.
        """
        self._run.set_session_id(session_id)

    @property
    def traceparent(self) -> str:
        """The trace that this call belongs to, in W3C's form, for requests to others.

            await http.get(url, headers={"traceparent": ctx.traceparent})

        It is of this run: what a query returns goes to everybody who asks, so leave it out there.
        """
        return self._run.traceparent

    @property
    def env(self) -> EnvironmentView:
        """The variables of this app or component; what a query reads here it depends on."""
        return self._run.environment

    @property
    def function_name(self) -> str:
        """The path of the function that runs, such as `users:get`."""
        return self._run.function_name

    def create_function_handle(
        self,
        function: QueryFunction[..., Any]
        | MutationFunction[..., Any]
        | ActionFunction[..., Any]
        | FunctionReference
        | ModuleReference,
    ) -> FunctionHandle:
        """Text that stands for a function, to hand to a component, or to store.

        `run_query`, `run_mutation`, `run_action` and the scheduler take it in place of the
        function, in whatever component, and whether it is public or internal. It stays the same
        across deploys and no longer works when the function is gone.

            handle = ctx.create_function_handle(internal.orders.paid)
            await ctx.run_mutation(components.payments.lib.charge, {"callback": handle})
        """
        return self._run.handle_of(function)

    def log(self, level: str, message: Any) -> None:
        """Add a line to this run's log: level is debug, info, log, warn or error."""
        self._run.log(level, message)

    def report(
        self, kind: str, value: Any, *, durable: bool = False, each_caller: bool = False
    ) -> None:
        """Add one item of metadata to this run's report, in queries and mutations too.

        Items leave with the run's outcome: they are neither rolled back with a mutation that fails,
        nor kept of an attempt that is run again. The function can't read them back, so they touch
        neither its purity nor its cached result.

        `kind` is a free word of the component's own, such as "shop.exposure" (`ValueError` for
        those of the host); `value` is plain data (`TypeError` otherwise), encoded at once. With
        `durable`, the response waits until the item would survive a power cut; without, the last
        second may be lost in a crash. With `each_caller`, a query's item is reported again for each
        new caller or subscriber that is served from a result that was there already. Beyond 4096
        items or 4 MiB a run, items are dropped and counted.

            ctx.report("shop.exposure", {"flag": "new-checkout", "variant": "b"}, each_caller=True)
        """
        if is_own(kind):
            raise ValueError(
                f'"{kind}" is a word of the host\'s own reports, so nothing was reported. Use one '
                f'with your own name before it, such as "shop.{kind.rpartition(".")[2]}".'
            )
        self._run.report(kind, value, durable=durable, each_caller=each_caller)

    def audit(self, body: Any) -> None:
        """Tell auditors what was done: plain data, for log streams with the topic `custom_audit`.

        It goes the way of `report`, durably: it is there although the function fails after it.

            ctx.audit({"action": "refund", "order": order, "by": ctx.user_id})
        """
        self._run.report(AUDIT, body, durable=True, each_caller=False)

    def describe_exception(self, error: BaseException) -> ExceptionReport:
        """An error as plain values: type, message, frames with source lines, causes.

        Its `id` is the one that the run reports when the same object leaves the function
        uncaught, so that who reports an error by hand can tell that both are one. A report passes
        through `ctx.report` as it is.

            except PaymentError as error:
                ctx.report("shop.error", {"error": ctx.describe_exception(error)}, durable=True)
                raise
        """
        return self._run.describe(error)


class _AsyncCtx(Ctx):
    """What every context of an `async def` has."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.auth = Auth(run)

    @overload
    def run_query(
        self, function: QueryFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def run_query(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Awaitable[Any]: ...
    def run_query(self, function: Any, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run a query: in the same transaction from a query or mutation, its own from an action."""
        return self._run.call("query", function, named_arguments(function, args, kwargs))


class QueryCtx(_AsyncCtx):
    """What a query gets: reads of one snapshot, and nothing that leaves a trace."""

    def __init__(self, run: Run, db: DatabaseReader) -> None:
        super().__init__(run)
        self.db = db


class MutationCtx(QueryCtx):
    """What a mutation gets: reads and writes of one serializable transaction."""

    db: DatabaseWriter

    def __init__(self, run: Run, db: DatabaseWriter) -> None:
        super().__init__(run, db)

    @property
    def scheduler(self) -> Scheduler:
        """Runs functions later, if this mutation commits."""
        return Scheduler(self._run)

    @overload
    def run_mutation(
        self, function: MutationFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def run_mutation(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Awaitable[Any]: ...
    def run_mutation(self, function: Any, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run a mutation as part of this one; if it raises, its writes alone are undone."""
        return self._run.call("mutation", function, named_arguments(function, args, kwargs))

    def enqueue(
        self, queue: str, value: Any, *, component: ComponentReference | None = None
    ) -> Awaitable[None]:
        """Append a value to one of this component's queues, in this transaction.

        With `component`, such as `components.mail`, to an open queue of a component mounted here.
        """
        return self._run.enqueue(queue, value, None if component is None else component.mount)


class ActionCtx(_AsyncCtx):
    """What an action gets: calls of other functions; each is a transaction of its own."""

    @property
    def scheduler(self) -> Scheduler:
        """Runs functions later; each call is durable when it returns, whatever the action does."""
        return Scheduler(self._run)

    @overload
    def run_mutation(
        self, function: MutationFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def run_mutation(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Awaitable[Any]: ...
    def run_mutation(self, function: Any, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run a mutation in a transaction of its own; it is durable when this returns."""
        return self._run.call("mutation", function, named_arguments(function, args, kwargs))

    @overload
    def run_action(
        self, function: ActionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def run_action(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Awaitable[Any]: ...
    def run_action(self, function: Any, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run another action, with limits of its own."""
        return self._run.call("action", function, named_arguments(function, args, kwargs))


class HttpActionCtx(ActionCtx):
    """What an HTTP action gets: all that actions get.

    The caller is whoever the request's `Authorization` header names. One that is not valid here,
    such as a webhook's shared secret, makes `ctx.auth.get_user_identity()` raise
    `CredentialRefused`, and `ctx.user_id` None; a request without one is anonymous.
    """

"""What an action that is a plain `def` gets as `ctx`: the same as others, without `await`.

Owns the typed surface. Never runs anything: each call is made on the isolate's event loop while the
action's own thread waits. One invariant: nothing here can be awaited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from pyconvex.functions.context import ActionCtx, Ctx, Run
from pyconvex.functions.references import Target
from pyconvex.functions.registration import ActionFunction, MutationFunction, QueryFunction
from pyconvex.functions.scheduler import Retry, ScheduledId, Scheduler

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Wait(Protocol):
    """Has the event loop carry something out, while this thread waits for its result."""

    def __call__(self, work: Awaitable[T], /) -> T: ...


class BlockingAuth:
    """Who calls."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def get_user_identity(self) -> Mapping[str, Any] | None:
        """The caller's identity with Convex's attribute names, or None for an anonymous caller."""
        return self._run.identity_attributes


class BlockingScheduler:
    """`ctx.scheduler` of a plain `def` action; see `Scheduler`."""

    def __init__(self, scheduler: Scheduler, wait: Wait) -> None:
        self._scheduler = scheduler
        self._wait = wait

    def with_retry(self, retry: Retry) -> BlockingScheduler:
        """The same scheduler for actions that may run again until they succeed; see `Retry`."""
        return BlockingScheduler(self._scheduler.with_retry(retry), self._wait)

    @overload
    def run_after(
        self,
        delay: float | timedelta,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ScheduledId: ...
    @overload
    def run_after(
        self,
        delay: float | timedelta,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> ScheduledId: ...
    def run_after(
        self, delay: float | timedelta, function: Any, /, *args: Any, **kwargs: Any
    ) -> ScheduledId:
        """Run a mutation or action once `delay` has passed: seconds, or a `timedelta`."""
        return self._wait(self._scheduler.run_after(delay, function, *args, **kwargs))

    @overload
    def run_at(
        self,
        moment: datetime | float,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> ScheduledId: ...
    @overload
    def run_at(
        self,
        moment: datetime | float,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> ScheduledId: ...
    def run_at(
        self, moment: datetime | float, function: Any, /, *args: Any, **kwargs: Any
    ) -> ScheduledId:
        """Run a mutation or action at a moment: a `datetime` with its time zone, or milliseconds
        since 1970.
        """
        return self._wait(self._scheduler.run_at(moment, function, *args, **kwargs))

    def cancel(self, id: str, /) -> None:
        """Cancel a scheduled function of this component."""
        self._wait(self._scheduler.cancel(id))


class BlockingActionCtx(Ctx):
    """What an action that is a plain `def` gets: it runs in a thread of its own and may block.

    @action
    def charge(ctx: BlockingActionCtx, order: str) -> str:
        cents = ctx.run_query(price, order=order)
        receipt = stripe.Charge.create(amount=cents)  # blocks nobody else
        ctx.run_mutation(paid, order=order, receipt=receipt.id)
        return receipt.id
    """

    def __init__(self, run: Run, wait: Wait) -> None:
        super().__init__(run)
        self.auth = BlockingAuth(run)
        self._calls = ActionCtx(run)
        self._wait = wait

    @property
    def scheduler(self) -> BlockingScheduler:
        """Runs functions later; each call is durable when it returns, whatever the action does."""
        return BlockingScheduler(self._calls.scheduler, self._wait)

    def run_async(
        self,
        function: Callable[Concatenate[ActionCtx, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run what takes the context of an `async def` action, and wait for its result.

        ctx.run_async(posthog.capture, "charged", distinct_id=user_id)
        """
        return self._wait(function(self._calls, *args, **kwargs))

    @overload
    def run_query(
        self, function: QueryFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def run_query(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Any: ...
    def run_query(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a query in a transaction of its own."""
        return self._wait(self._calls.run_query(function, *args, **kwargs))

    @overload
    def run_mutation(
        self, function: MutationFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def run_mutation(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Any: ...
    def run_mutation(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run a mutation in a transaction of its own; it is durable when this returns."""
        return self._wait(self._calls.run_mutation(function, *args, **kwargs))

    @overload
    def run_action(
        self, function: ActionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def run_action(
        self,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Any: ...
    def run_action(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run another action, with limits of its own."""
        return self._wait(self._calls.run_action(function, *args, **kwargs))

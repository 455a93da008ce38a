"""`ctx.scheduler`: functions that run later.

Owns the typed surface and the rules for times. Never schedules by itself: the run behind it does.
One invariant: what is scheduled has been found to exist, to be a mutation or an action, and to take
the given arguments.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, ParamSpec, Protocol, TypeAlias, overload

from pyconvex.functions.arguments import named_arguments
from pyconvex.functions.errors import FunctionCallError
from pyconvex.functions.references import Target
from pyconvex.functions.registration import ActionFunction, MutationFunction
from pyconvex.values import Id

P = ParamSpec("P")

#: How far from now a function can be scheduled, either way (Convex's limit).
MAX_YEARS = 5
_MAX_DISTANCE_MS = MAX_YEARS * 365.25 * 24 * 3600 * 1000

#: The id of a scheduled function; also as the type of an argument or field that holds one.
ScheduledId: TypeAlias = Id[Literal["_scheduled_functions"]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How an action is tried again, for `ctx.scheduler.with_retry`.

    Without it an action runs at most once: what it does outside can't be undone, so nobody repeats
    it. With it the action runs until a run succeeds, at most `max_attempts` times, also after a
    crash: **at least once**, so what it does must bear repetition, by an idempotency key for
    example. The pause before the second attempt is at most `initial_backoff_s`; the bound doubles
    each time, up to `max_backoff_s`.
    """

    max_attempts: int
    initial_backoff_s: float = 1.0
    max_backoff_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"Retry(max_attempts={self.max_attempts}): at least 1 run is needed.")
        for name in ("initial_backoff_s", "max_backoff_s"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"Retry({name}={seconds}): give seconds, 0 or more.")


class When(NamedTuple):
    """A moment, counted from now or from 1970, in milliseconds."""

    value_ms: float
    from_now: bool

    def resolve_ms(self, now_ms: float) -> float:
        """The moment in milliseconds since 1970; raises `FunctionCallError` when it is too far."""
        moment_ms = now_ms + self.value_ms if self.from_now else self.value_ms
        if not abs(moment_ms - now_ms) <= _MAX_DISTANCE_MS:
            side = "past" if moment_ms < now_ms else "future"
            raise FunctionCallError(
                f"InvalidScheduledFunctionDelay: {moment_ms:.0f} is more than {MAX_YEARS} years in "
                f"the {side}; functions can't be scheduled that far away."
            )
        return moment_ms


class SchedulingRun(Protocol):
    """The run behind a scheduler."""

    def schedule(
        self, when: When, target: Any, arguments: Mapping[str, Any], retry: Retry | None
    ) -> Awaitable[str]:
        """Have a function run at a later time; the job's id."""

    def cancel_scheduled(self, id: str) -> Awaitable[None]:
        """Cancel a job of the running component."""


class Scheduler:
    """Runs functions later: mutations exactly once, actions at most once.

    In a mutation scheduling is part of the transaction: what is rolled back was never scheduled.
    In an action each call is a transaction of its own, durable when it returns. The function runs
    as nobody: pass on what it has to know of the caller. It can be read as a document while it
    waits and for seven days after it ended: `ctx.db.system.get(id)`.

        @mutation
        async def sign_up(ctx: MutationCtx, email: str) -> None:
            user_id = await ctx.db.insert(User(email=email))
            await ctx.scheduler.run_after(0, send_welcome, user_id=user_id)
            await ctx.scheduler.run_after(timedelta(days=3), remind, user_id=user_id)
    """

    def __init__(self, run: SchedulingRun, retry: Retry | None = None) -> None:
        self._run = run
        self._retry = retry

    def with_retry(self, retry: Retry) -> Scheduler:
        """The same scheduler for actions that may run again until they succeed; see `Retry`.

        ctx.scheduler.with_retry(Retry(max_attempts=5)).run_after(0, charge, order_id=id)
        """
        return Scheduler(self._run, retry)

    @overload
    def run_after(
        self,
        delay: float | timedelta,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[ScheduledId]: ...
    @overload
    def run_after(
        self,
        delay: float | timedelta,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Awaitable[ScheduledId]: ...
    async def run_after(
        self, delay: float | timedelta, function: Any, /, *args: Any, **kwargs: Any
    ) -> ScheduledId:
        """Run a mutation or action once `delay` has passed: seconds, or a `timedelta`.

        0 means as soon as this mutation has committed. Raises `FunctionCallError` when there is no
        such function, when it is a query, or when the arguments don't validate.
        """
        delay_s = delay.total_seconds() if isinstance(delay, timedelta) else delay
        if not (_is_number(delay_s) and delay_s >= 0):
            raise FunctionCallError(
                f"run_after: the delay must be a number of seconds or a timedelta, 0 or more, not "
                f"{delay!r}."
            )
        return await self._schedule(When(delay_s * 1000, from_now=True), function, args, kwargs)

    @overload
    def run_at(
        self,
        moment: datetime | float,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[ScheduledId]: ...
    @overload
    def run_at(
        self,
        moment: datetime | float,
        function: Target,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> Awaitable[ScheduledId]: ...
    async def run_at(
        self, moment: datetime | float, function: Any, /, *args: Any, **kwargs: Any
    ) -> ScheduledId:
        """Run a mutation or action at a moment: a `datetime` with its time zone, or milliseconds
        since 1970. What lies in the past runs at once.
        """
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise FunctionCallError(
                    "run_at: the datetime has no time zone, so it names no moment. Make it with "
                    "one, such as datetime.now(UTC)."
                )
            moment_ms = moment.timestamp() * 1000
        else:
            moment_ms = moment
        if not _is_number(moment_ms):
            raise FunctionCallError(
                "run_at: the moment must be a datetime or a number of milliseconds since 1970, not "
                f"{moment!r}."
            )
        return await self._schedule(When(moment_ms, from_now=False), function, args, kwargs)

    async def cancel(self, id: str, /) -> None:
        """Cancel a scheduled function of this component.

        One that waits never runs. An action that runs goes on, and what it schedules from then on
        is canceled with it. One that has ended stays as it is. A scheduled mutation can't cancel
        itself: raise an error instead.
        """
        await self._run.cancel_scheduled(id)

    async def _schedule(
        self, when: When, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ScheduledId:
        named = named_arguments(function, args, kwargs)
        return Id(await self._run.schedule(when, function, named, self._retry))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

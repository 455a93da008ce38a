"""The event loop of queries and mutations: ready callbacks in order, and nothing else.

Owns the order in which coroutines of one run proceed, which is first in, first out, so that
`asyncio.gather` gives the same interleaving at every attempt. Never waits: reads are synchronous,
and timers, sockets, threads and signals are refused by name. One invariant: when no callback is
ready and the main task is not done, it never will be, and the run fails with that sentence.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from pyconvex.runtime.purity import ImpureCallError as ImpureCallError
from pyconvex.runtime.purity import impure

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


if sys.version_info >= (3, 14):  # where a thread has one current task, and not each of its loops
    from asyncio.tasks import _swap_current_task
else:

    def _swap_current_task(
        loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None
    ) -> asyncio.Task[Any] | None:
        return None


class NeverSettlesError(RuntimeError):
    """A handler awaits something that nothing will ever complete."""


class PureLoop(asyncio.AbstractEventLoop):
    """Runs one coroutine at a time to its end, with the tasks that it makes."""

    def __init__(self) -> None:
        self._ready: deque[events.Handle] = deque()
        self._unhandled: BaseException | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` and everything it started; return its result or raise its error."""
        previous = events._get_running_loop()
        outer = None if previous is None else _swap_current_task(previous, None)
        events._set_running_loop(self)
        try:
            task = asyncio.Task(coroutine, loop=self)
            self._drain()
            if not task.done():
                task.cancel()
                self._drain()
                raise self._unhandled or NeverSettlesError(
                    "The function waits for something that will never happen: a query or mutation "
                    "can only await ctx methods and other coroutines."
                )
            result = task.result()  # its own error comes before those of tasks that it left behind
            if self._unhandled is not None:
                raise self._unhandled
            return result
        finally:
            self._ready.clear()
            events._set_running_loop(previous)
            if previous is not None:
                _swap_current_task(previous, outer)

    def _drain(self) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()
            # An error's traceback keeps this frame from Python 3.12 on, and the frame its task,
            # whose error is noticed when nothing keeps the task.
            del handle

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **options)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self._unhandled is None and isinstance(error, BaseException):
            self._unhandled = error


def new_loop() -> PureLoop:
    """A loop for one run."""
    return PureLoop()  # type: ignore[abstract]  # the refusals below fill in all that is abstract


def _refusing(what: str) -> Callable[..., NoReturn]:
    def refuse(self: PureLoop, *args: Any, **options: Any) -> NoReturn:
        raise impure(what)

    return refuse


_TIMERS = {"call_later", "call_at", "time"}
_THREADS = {"run_in_executor", "call_soon_threadsafe", "set_default_executor"}

# Whatever else an event loop can do (sockets, subprocesses, signals) is refused by its own name
# instead of with NotImplementedError.
for _name in dir(asyncio.AbstractEventLoop):
    if _name.startswith("_") or _name in PureLoop.__dict__:
        continue
    if _name in _TIMERS:
        _what = "wait for time to pass"
    elif _name in _THREADS:
        _what = "use threads"
    else:
        _what = f"use {_name}"
    setattr(PureLoop, _name, _refusing(_what))

"""Running what blocks, beside the event loop of an action isolate.

Owns one thread for each plain `def` action, and its way back to the loop. Never waits for a thread
whose action has been cancelled: it is left behind. One invariant: when the action is over, its
thread can call nothing any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from pyconvex.functions.blocking import Wait

T = TypeVar("T")


class LeftBehind(Exception):
    """Raised in a thread whose action has ended without it."""


async def in_thread(work: Callable[[Wait], T], name: str) -> T:
    """Run `work` in a thread of its own and give its result.

    `work` gets the function by which the thread has this event loop do something for it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    over = threading.Event()

    def wait(awaitable: Awaitable[Any], /) -> Any:
        if over.is_set():
            getattr(awaitable, "close", lambda: None)()
            raise LeftBehind(f"Action {name} has ended; its thread goes on for nothing.")
        return asyncio.run_coroutine_threadsafe(_result_of(awaitable), loop).result()

    def end(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return  # cancelled
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # the result, as there is no error

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = context.run(work, wait)
        except StopIteration as stop:  # which no future takes
            error = RuntimeError(f"The action raised {stop!r}.")
            error.__cause__ = stop
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop may be closed
            loop.call_soon_threadsafe(end, result, error)

    context = copy_context()
    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        return await done
    finally:
        over.set()


async def _result_of(awaitable: Awaitable[T]) -> T:
    return await awaitable

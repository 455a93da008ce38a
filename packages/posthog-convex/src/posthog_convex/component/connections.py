"""HTTP from actions.

Owns one connection pool an event loop. Never retries or reads an answer. One invariant: a request
ends within its own deadline, as a response or as `Unreachable`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pyconvex.delivery import Request, Response, Transport, Unreachable
from pyconvex.delivery.transport import HttpTransport

#: More than any single request may ask for.
_LONGEST_S = 60.0
#: Whether the task that runs is about a request of this module.
_ours: ContextVar[bool] = ContextVar("posthog_request", default=False)
#: Making a pool takes 20 ms, mostly for certificates, so an action isolate keeps its own.
_pools: dict[asyncio.AbstractEventLoop, Transport] = {}


async def send(request: Request, *, deadline_s: float) -> Response:
    """Send once. Raises `Unreachable` when no complete response came in time."""
    pool = _pool()
    token = _ours.set(True)
    try:
        async with asyncio.timeout(deadline_s):
            return await pool.send(request)
    except TimeoutError:
        raise Unreachable(f"no answer within {deadline_s:g} s") from None
    finally:
        _ours.reset(token)


@contextmanager
def standing_in(transport: Transport) -> Iterator[None]:
    """Let requests of this event loop go to `transport`, for tests."""
    loop = asyncio.get_running_loop()
    before = _pools.get(loop)
    _pools[loop] = transport
    try:
        yield
    finally:
        if before is None:
            del _pools[loop]
        else:
            _pools[loop] = before


def _pool() -> Transport:
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        for ended in [each for each in _pools if each.is_closed()]:
            del _pools[ended]
        pool = _pools[loop] = HttpTransport(deadline_s=_LONGEST_S)
        logging.getLogger("httpx2").addFilter(_not_ours)
    return pool


def _not_ours(record: logging.LogRecord) -> bool:
    """Whether a line about a request belongs into the app's log: it does if the app made it."""
    return not _ours.get()

"""HTTP from actions.

Owns one connection pool an event loop. Never retries or reads an answer. One invariant: a request
ends within its own deadline, as a response or as `Unreachable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pyconvex.delivery import Request, Response, Transport, Unreachable
from pyconvex.delivery.transport import HttpTransport

#: More than any single request may ask for.
_LONGEST_S = 60.0
#: Making a pool takes 20 ms, mostly for certificates, so an action isolate keeps its own.
_pools: dict[asyncio.AbstractEventLoop, Transport] = {}


async def send(request: Request, *, deadline_s: float) -> Response:
    """Send once. Raises `Unreachable` when no complete response came in time."""
    pool = _pool()
    try:
        async with asyncio.timeout(deadline_s):
            return await pool.send(request)
    except TimeoutError:
        raise Unreachable(f"no answer within {deadline_s:g} s") from None


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
    return pool

"""Functions that take what isn't theirs."""

import os
import time

from pyconvex import ActionCtx, QueryCtx, action, query


@query
async def loop(ctx: QueryCtx, n: float) -> None:
    while True:
        pass


@query
async def hoard(ctx: QueryCtx, n: float) -> None:
    kept = []
    while True:
        kept.append(bytearray(1 << 26))


@query
async def leave(ctx: QueryCtx, n: float) -> None:
    os._exit(1)


@action
async def block(ctx: ActionCtx, n: float) -> None:
    time.sleep(1000)

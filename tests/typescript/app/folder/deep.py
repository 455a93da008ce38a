from typing import Literal

from pyconvex import QueryCtx, query


@query
async def ping(ctx: QueryCtx) -> Literal["pong"]:
    return "pong"

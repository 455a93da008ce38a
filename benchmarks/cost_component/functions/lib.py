"""One query that returns what it gets."""

from pyconvex import QueryCtx, query


@query
async def empty(ctx: QueryCtx, n: float) -> float:
    return n

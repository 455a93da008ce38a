"""Orders that come in while the warehouse is watching."""

from __future__ import annotations

from benchmarks.warehouse_orders import order

from pyconvex import MutationCtx, QueryCtx, mutation, query


@mutation
async def add(ctx: MutationCtx, first: int, count: int) -> int:
    for number in range(first, first + count):
        await ctx.db.insert("orders", order(number))
    return count


@query
async def ready(ctx: QueryCtx) -> bool:
    return True

from typing import Any

from pyconvex import (
    ActionCtx,
    Document,
    MutationCtx,
    QueryCtx,
    ScheduledId,
    action,
    internal_mutation,
    mutation,
    query,
)


class Tick(Document, table="ticks"):
    n: int


@mutation
async def tick(ctx: MutationCtx, n: int) -> None:
    await ctx.db.insert(Tick(n=n))


@internal_mutation
async def hidden_tick(ctx: MutationCtx, n: int) -> None:
    await ctx.db.insert(Tick(n=n))


@query
async def ticks(ctx: QueryCtx) -> list[int]:
    return [tick.n async for tick in ctx.db.query(Tick)]


@query
async def jobs(ctx: QueryCtx) -> list[Any]:
    return await ctx.db.system.query("_scheduled_functions").collect()


@mutation
async def tick_later(ctx: MutationCtx, n: int, delay: float) -> ScheduledId:
    return await ctx.scheduler.run_after(delay, hidden_tick, n)


@action
async def tick_later_in_action(ctx: ActionCtx, n: int, delay: float) -> ScheduledId:
    return await ctx.scheduler.run_after(delay, hidden_tick, n)


@action
async def cancel_in_action(ctx: ActionCtx, id: ScheduledId) -> None:
    await ctx.scheduler.cancel(id)

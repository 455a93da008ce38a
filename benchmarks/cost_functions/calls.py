"""Calls that do as little as their kind can."""

from pyconvex import (
    ActionCtx,
    Document,
    Id,
    MutationCtx,
    QueryCtx,
    action,
    components,
    mutation,
    query,
)


class Row(Document, table="rows"):
    name: str
    email: str
    balance: float


@query
async def ready(ctx: QueryCtx) -> bool:
    return True


@query
async def empty(ctx: QueryCtx, n: float) -> float:
    return n


@query
async def point(ctx: QueryCtx, row: Id[Row], n: float) -> Row | None:
    return await ctx.db.get(row)


@query
async def nested(ctx: QueryCtx, n: float) -> float:
    found: float = await ctx.run_query(components.counters.lib.empty, {"n": n})
    return found


@mutation
async def empty_mutation(ctx: MutationCtx, n: float) -> float:
    return n


@mutation
async def insert(ctx: MutationCtx, n: float) -> Id[Row]:
    return await ctx.db.insert(Row(name="Ada", email="ada@example.com", balance=n))


@action
async def empty_action(ctx: ActionCtx, n: float) -> float:
    return n

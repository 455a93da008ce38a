from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    MutationCtx,
    QueryCtx,
    action,
    api,
    internal_query,
    mutation,
    query,
)


class Counter(Document, table="counters", indexes={"by_name": ["name"]}):
    name: str
    total: float


async def total_of(ctx: QueryCtx | MutationCtx, name: str) -> float:
    counter = await ctx.db.query(Counter).with_index("by_name", name=name).unique()
    return 0.0 if counter is None else counter.total


@query
async def get(ctx: QueryCtx, name: str) -> float:
    return await total_of(ctx, name)


@internal_query
async def secret(ctx: QueryCtx, name: str) -> float:
    return await total_of(ctx, name)


@query
async def at_most(ctx: QueryCtx, name: str, limit: float) -> float:
    total = await total_of(ctx, name)
    if total > limit:
        raise ConvexError({"code": "TOO_MANY", "total": total})
    return total


@mutation
async def add(ctx: MutationCtx, name: str, by: float) -> float:
    counter = await ctx.db.query(Counter).with_index("by_name", name=name).unique()
    if counter is None:
        await ctx.db.insert(Counter(name=name, total=by))
        return by
    await ctx.db.patch(counter._id, {"total": counter.total + by})
    return counter.total + by


@action
async def add_from_action(ctx: ActionCtx, name: str, by: float) -> float:
    total: float = await ctx.run_mutation(api.counters.add, {"name": name, "by": by})
    return total

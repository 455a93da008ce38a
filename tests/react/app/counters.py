from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    MutationCtx,
    QueryCtx,
    action,
    mutation,
    query,
)


class Counter(Document, table="counters", indexes={"by_name": ["name"]}):
    name: str
    total: int


async def counter_of(ctx: QueryCtx, name: str) -> Counter | None:
    return await ctx.db.query(Counter).with_index("by_name", name=name).unique()


@query
async def get(ctx: QueryCtx, name: str) -> int:
    counter = await counter_of(ctx, name)
    return 0 if counter is None else counter.total


@query
async def at_most(ctx: QueryCtx, name: str, limit: int) -> int:
    counter = await counter_of(ctx, name)
    if counter is not None and counter.total > limit:
        raise ConvexError({"code": "TOO_MANY", "total": counter.total})
    return 0 if counter is None else counter.total


@mutation
async def add(ctx: MutationCtx, name: str, by: int) -> int:
    counter = await counter_of(ctx, name)
    if counter is None:
        await ctx.db.insert(Counter(name=name, total=by))
        return by
    await ctx.db.patch(counter._id, {"total": counter.total + by})
    return counter.total + by


@mutation
async def refuse(ctx: MutationCtx, name: str, by: int) -> None:
    await add.handler(ctx, name, by)
    raise ConvexError({"code": "REFUSED"})


@action
async def add_from_action(ctx: ActionCtx, name: str, by: int) -> int:
    return await ctx.run_mutation(add, name=name, by=by)

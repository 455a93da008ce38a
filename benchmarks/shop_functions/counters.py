"""Counters to follow: one that everybody watches, and queries that differ by an argument."""

from pyconvex import Document, MutationCtx, QueryCtx, mutation, query


class Counter(Document, table="counters", indexes={"by_name": ["name"]}):
    name: str
    n: int


@mutation
async def count(ctx: MutationCtx, name: str) -> int:
    counter = await ctx.db.query(Counter).with_index("by_name", name=name).unique()
    if counter is None:
        await ctx.db.insert(Counter(name=name, n=1))
        return 1
    await ctx.db.patch(counter._id, {"n": counter.n + 1})
    return counter.n + 1


@query
async def read(ctx: QueryCtx, name: str, watcher: int = 0) -> int:
    counter = await ctx.db.query(Counter).with_index("by_name", name=name).unique()
    return 0 if counter is None else counter.n

from pyconvex import ActionCtx, Document, MutationCtx, QueryCtx, action, mutation, query


class Note(Document, table="notes"):
    text: str


@mutation
async def write(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Note(text=text))


@query
async def count(ctx: QueryCtx, n: int) -> int:
    return len(await ctx.db.query(Note).collect())


@action
async def act(ctx: ActionCtx, n: int) -> int:
    return await ctx.run_query(count, n=n)

from pyconvex import QueryCtx, query


@query
async def word(ctx: QueryCtx) -> str:
    return ctx.env["WORD"]

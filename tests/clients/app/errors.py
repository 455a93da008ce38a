from pyconvex import ActionCtx, ConvexError, MutationCtx, QueryCtx, action, mutation, query


@mutation
async def refuse(ctx: MutationCtx) -> None:
    raise ConvexError({"code": "NOPE", "args": {}})


@query
async def refuse_query(ctx: QueryCtx) -> None:
    raise ConvexError({"code": "NOPE", "args": {}})


@action
async def refuse_action(ctx: ActionCtx) -> None:
    raise ConvexError({"code": "NOPE", "args": {}})


@mutation
async def crash(ctx: MutationCtx) -> None:
    raise ValueError("it broke")


@query
async def crash_query(ctx: QueryCtx) -> None:
    raise ValueError("it broke")

from pyconvex import ActionCtx, MutationCtx, QueryCtx, action, mutation, query


@query
async def am_i(ctx: QueryCtx) -> str | None:
    return ctx.user_id


@mutation
async def note(ctx: MutationCtx) -> str | None:
    return ctx.user_id


@action
async def act(ctx: ActionCtx) -> str | None:
    return ctx.user_id

from typing import Any

from pyconvex import QueryCtx, query


@query
async def whoami(ctx: QueryCtx) -> Any:
    return await ctx.auth.get_user_identity()

from typing import Any

from pyconvex import ActionCtx, QueryCtx, action, query


@query
async def echo(ctx: QueryCtx, value: Any) -> Any:
    return {"value": value}


@action
async def echo_action(ctx: ActionCtx, value: Any) -> Any:
    return {"value": value}

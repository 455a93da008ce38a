"""One function of each kind and visibility, and some that take anything."""

from __future__ import annotations

from typing import Any

from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    Id,
    MutationCtx,
    PaginationOptions,
    PaginationResult,
    QueryCtx,
    action,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)


class Thing(Document, table="things", indexes={"by_key": ["key"]}):
    key: str
    value: Any


@query
async def echo(ctx: QueryCtx, value: Any = None) -> Any:
    return value


@query
async def typed(ctx: QueryCtx, n: int, s: str, b: bytes, of: Id[Thing] | None = None) -> str:
    return f"{n} {s!r} {b!r} {of}"


@query
async def who(ctx: QueryCtx) -> str | None:
    return ctx.user_id


@query
async def listed(ctx: QueryCtx, pagination_opts: PaginationOptions) -> PaginationResult[Thing]:
    return await ctx.db.query(Thing).with_index("by_key").paginate(pagination_opts)


@query
async def found(ctx: QueryCtx, id: str) -> Any:
    return await ctx.db.get(id)


@mutation
async def put(ctx: MutationCtx, key: str, value: Any = None) -> Id[Thing]:
    old = await ctx.db.query(Thing).with_index("by_key", key=key).first()
    if old is not None:
        await ctx.db.replace(old._id, {"key": key, "value": value})
        return old._id
    return await ctx.db.insert(Thing(key=key, value=value))


@mutation
async def refuse(ctx: MutationCtx, data: Any = None) -> None:
    raise ConvexError(data)


@action
async def relay(ctx: ActionCtx, key: str, value: Any = None) -> Any:
    await ctx.run_mutation(put, key=key, value=value)
    return await ctx.run_query(echo, value=value)


@internal_query
async def hidden_query(ctx: QueryCtx) -> str:
    return "hidden"


@internal_mutation
async def hidden_mutation(ctx: MutationCtx) -> str:
    return "hidden"


@internal_action
async def hidden_action(ctx: ActionCtx) -> str:
    return "hidden"

from typing import Any

from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    FunctionHandle,
    Id,
    MutationCtx,
    QueryCtx,
    action,
    components,
    internal,
    internal_query,
    mutation,
    query,
)


class Mail(Document, table="mails"):
    to: str


@mutation
async def send(ctx: MutationCtx, to: str) -> str:
    id = await ctx.db.insert(Mail(to=to))
    await ctx.enqueue("outbox", {"to": to})
    return id


@query
async def sent(ctx: QueryCtx) -> list[str]:
    return [mail.to for mail in await ctx.db.query(Mail).collect()]


@query
async def who(ctx: QueryCtx) -> list[Any]:
    return [ctx.user_id, await ctx.auth.get_user_identity()]


@query
async def variables(ctx: QueryCtx) -> dict[str, Any]:
    return {
        "seen": dict(ctx.env),
        "unbound": ctx.env.get("HOST"),
        "of_the_app": ctx.env.get("SECRET"),
        "inner": await ctx.run_query(components.inner.words.word),
        "fixed": await ctx.run_query(components.fixed.words.word),
    }


@internal_query
async def hidden(ctx: QueryCtx) -> int:
    return 1


@query
async def own_hidden(ctx: QueryCtx) -> int:
    return int(await ctx.run_query(internal.lib.hidden))


@action
async def acting(ctx: ActionCtx) -> str | None:
    return ctx.user_id


@mutation
async def calls_back(ctx: MutationCtx, handle: FunctionHandle, order: str) -> Any:
    return await ctx.run_mutation(handle, {"order": order})


@query
async def recipient(ctx: QueryCtx, id: Id[Mail]) -> str | None:
    mail = await ctx.db.get(id)
    return mail.to if mail else None


@mutation
async def send_and_fail(ctx: MutationCtx, to: str) -> None:
    await ctx.db.insert(Mail(to=to))
    raise ConvexError({"code": "NO"})


@query
async def echo(ctx: QueryCtx, text: str) -> str:
    return text[:1]

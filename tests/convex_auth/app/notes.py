"""What somebody who is signed in sees and does."""

from pyconvex import ConvexError, MutationCtx, QueryCtx, mutation, query
from pyconvex.accounts import get_auth_user_id


@query
async def me(ctx: QueryCtx) -> str | None:
    user_id = await get_auth_user_id(ctx)
    user = None if user_id is None else await ctx.db.get(user_id)
    return None if user is None else str(user["email"])


@query
async def mine(ctx: QueryCtx) -> list[str]:
    notes = await ctx.db.query("notes").collect()
    return [note["text"] for note in notes if note["author"] == ctx.user_id]


@mutation
async def add(ctx: MutationCtx, text: str) -> None:
    if ctx.user_id is None:
        raise ConvexError("Not signed in")
    await ctx.db.insert("notes", {"text": text, "author": ctx.user_id})

"""An app module as its author writes it."""

from pyconvex import ActionCtx, Document, Id, MutationCtx, QueryCtx, action, mutation, query


class User(Document, table="users"):
    name: str


@mutation
async def sign_up(ctx: MutationCtx, name: str, plan: str = "free") -> Id[User]:
    return await ctx.db.insert(User(name=name))


@query
async def get(ctx: QueryCtx, user_id: Id[User]) -> User | None:
    return await ctx.db.get(user_id)


@action
async def greet(ctx: ActionCtx, name: str) -> str:
    return f"Hello {name}"

from pyconvex import ConvexError, Document, Id, MutationCtx, QueryCtx, mutation, query

from .posthog import posthog


class User(Document, table="users", indexes={"by_email": ["email"]}):
    name: str
    email: str
    plan: str


@mutation
async def sign_up(ctx: MutationCtx, name: str, email: str) -> Id[User]:
    if await ctx.db.query(User).with_index("by_email", email=email).first():
        raise ConvexError(f"{email} has signed up already")
    user_id = await ctx.db.insert(User(name=name, email=email, plan="free"))
    await posthog.identify(
        ctx, distinct_id=user_id, properties={"name": name, "email": email, "plan": "free"}
    )
    await posthog.capture(ctx, "signed_up", distinct_id=user_id)
    return user_id


@mutation
async def upgrade(ctx: MutationCtx, user_id: Id[User], plan: str) -> None:
    await ctx.db.patch(user_id, {"plan": plan})
    await posthog.identify(ctx, distinct_id=user_id, properties={"plan": plan})
    await posthog.capture(ctx, "plan_changed", distinct_id=user_id, properties={"plan": plan})


@query
async def get(ctx: QueryCtx, user_id: Id[User]) -> User | None:
    return await ctx.db.get(user_id)

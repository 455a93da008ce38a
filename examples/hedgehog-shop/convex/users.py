"""Who shops here: accounts come from `auth.py`, plans and what PostHog should know from here."""

from typing import Literal, TypeAlias

from pyconvex import ActionCtx, ConvexError, Document, Id, MutationCtx, QueryCtx, mutation, query

from .posthog import posthog

Plan: TypeAlias = Literal["free", "club"]


class User(Document, table="users", indexes={"email": ["email"]}):
    email: str
    name: str
    plan: Plan
    #: Whether `signed_up` has been captured.
    welcomed: bool | None = None


@query(name="currentUser")
async def current_user(ctx: QueryCtx) -> User | None:
    """The caller, for the page and for PostHog's `AuthSync`; nobody before signing in."""
    return None if ctx.user_id is None else await ctx.db.get(User.id(ctx.user_id))


@mutation
async def welcome(ctx: MutationCtx, session_id: str | None = None) -> None:
    """Called by the page when somebody is signed in; the first time they have just signed up."""
    ctx.set_session_id(session_id)
    user_id = signed_in(ctx)
    user = await ctx.db.get(user_id)
    if user is None or user.welcomed:
        return
    await ctx.db.patch(user_id, {"welcomed": True})
    await posthog.capture(ctx, "signed_up", properties={"plan": user.plan})


@mutation
async def choose_plan(ctx: MutationCtx, plan: Plan, session_id: str | None = None) -> None:
    """Change the caller's plan: the document, the person and the event are one transaction."""
    ctx.set_session_id(session_id)
    await ctx.db.patch(signed_in(ctx), {"plan": plan})
    await posthog.identify(ctx, properties={"plan": plan})
    await posthog.capture(ctx, "plan_changed", properties={"plan": plan})


def signed_in(ctx: QueryCtx | MutationCtx | ActionCtx) -> Id[User]:
    """The caller's id; refuses who has not signed in."""
    if ctx.user_id is None:
        raise ConvexError({"code": "not_signed_in", "message": "Sign in first."})
    return User.id(ctx.user_id)

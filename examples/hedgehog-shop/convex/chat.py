"""The shop's support: an agent answers, and its answer grows in a document.

A question is a mutation. It commits together with an empty answer, and schedules the action that
fills it, so the page never waits for a model: it watches `mine`. Model calls, tools and the
functions that they run are one trace of the caller's in PostHog, with no code for that in here.
"""

import asyncio
from typing import Literal, TypeAlias, TypedDict

from posthog_convex import ai
from pyconvex import (
    ActionCtx,
    ConvexError,
    Document,
    Id,
    MutationCtx,
    QueryCtx,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)

from .orders import Order
from .products import Product
from .users import User, signed_in

State: TypeAlias = Literal["writing", "done", "failed"]

#: Characters of a question.
LONGEST_QUESTION = 500


class Message(Document, table="messages", indexes={"by_user": ["user_id"]}):
    user_id: Id[User]
    author: Literal["customer", "support"]
    text: str
    state: State


class OnShelf(TypedDict):
    """A product, as the agent sees it."""

    name: str
    about: str
    price: int


@query
async def mine(ctx: QueryCtx) -> list[Message]:
    """The caller's conversation, the oldest first."""
    if ctx.user_id is None:
        return []
    messages = ctx.db.query(Message).with_index("by_user", user_id=User.id(ctx.user_id))
    return (await messages.order("desc").take(40))[::-1]


@mutation
async def ask(ctx: MutationCtx, text: str, session_id: str | None = None) -> Id[Message]:
    """Ask the support; the id of the answer, which is empty for now."""
    ctx.set_session_id(session_id)
    user_id, text = signed_in(ctx), text.strip()
    if not 0 < len(text) <= LONGEST_QUESTION:
        raise ConvexError({"code": "bad_question", "message": "Ask in up to 500 characters."})
    question = Message(user_id=user_id, author="customer", text=text, state="done")
    empty = Message(user_id=user_id, author="support", text="", state="writing")
    await ctx.db.insert(question)
    waiting = await ctx.db.insert(empty)
    await ctx.scheduler.run_after(0, answer, waiting, user_id, text, session_id)
    return waiting


@internal_action
async def answer(
    ctx: ActionCtx,
    answer_id: Id[Message],
    user_id: Id[User],
    question: str,
    session_id: str | None = None,
) -> None:
    """Have the agent answer, and write what it says as it says it."""
    from .support import Customer, agent, model

    ctx.set_user_id(user_id)
    ctx.set_session_id(session_id)
    said = ""
    try:
        with ai.options(ctx, session_id=f"chat {user_id}"):  # PostHog groups its traces by that
            # The first time they import a large library; other actions go on meanwhile.
            asked = await asyncio.to_thread(model, ctx.env)
            asking = await asyncio.to_thread(agent)
            async with asking.run_stream(question, deps=Customer(ctx, user_id), model=asked) as run:
                async for said in run.stream_text(debounce_by=0.2):
                    await ctx.run_mutation(write, answer_id, said, "writing")
    except Exception:
        await ctx.run_mutation(write, answer_id, said or "I can't answer just now.", "failed")
        raise
    await ctx.run_mutation(write, answer_id, said, "done")


@internal_mutation
async def write(ctx: MutationCtx, answer_id: Id[Message], text: str, state: State) -> None:
    """What the answer says by now."""
    await ctx.db.patch(answer_id, {"text": text, "state": state})


@internal_query
async def shelf(ctx: QueryCtx) -> list[OnShelf]:
    """What is for sale, for the agent."""
    products = await ctx.db.query(Product).with_index("by_rank").collect()
    return [{"name": one.name, "about": one.about, "price": one.price} for one in products]


@internal_query
async def orders_of(ctx: QueryCtx, user_id: Id[User]) -> list[int]:
    """What the customer paid for each order, the latest first, for the agent."""
    orders = ctx.db.query(Order).with_index("by_user", user_id=user_id)
    return [order.paid for order in await orders.order("desc").take(10)]

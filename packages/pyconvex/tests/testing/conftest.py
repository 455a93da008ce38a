"""A small app for the tests of the kit, as source texts, and a component's definition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from pyconvex.testing import ConvexTest, convex_test

NOTES = """
import asyncio
import logging
from typing import Annotated

from pyconvex import (
    ActionCtx, ConvexError, Document, Id, MutationCtx, QueryCtx, action, internal_mutation,
    mutation, query,
)
from pyconvex.functions import Arg

runs = 0


class Note(Document, table="notes", indexes={"by_text": ["text"]}):
    text: str
    stars: int


class TooLong(ConvexError):
    pass


@mutation
async def add(ctx: MutationCtx, text: str, stars: int = 0) -> Id[Note]:
    if len(text) > 10:
        raise TooLong({"limit": 10})
    return await ctx.db.insert(Note(text=text, stars=stars))


@query
async def get(ctx: QueryCtx, id: Id[Note]) -> Note | None:
    return await ctx.db.get(id)


@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text async for note in ctx.db.query(Note)]


@query
async def stars(ctx: QueryCtx, text: str) -> int:
    note = await ctx.db.query(Note).with_index("by_text", text=text).unique()
    if note is None:
        raise LookupError(text)
    return note.stars


@mutation
async def star(ctx: MutationCtx, text: str) -> int:
    global runs
    runs += 1
    print(f"attempt {runs}")
    note = await ctx.db.query(Note).with_index("by_text", text=text).unique()
    assert note is not None
    await ctx.db.patch(note._id, {"stars": note.stars + 1})
    return note.stars + 1


@internal_mutation
async def clear(ctx: MutationCtx) -> None:
    async for note in ctx.db.query(Note):
        await ctx.db.delete(note._id)


@mutation
async def fail(ctx: MutationCtx, after: Annotated[str, Arg("afterWriting")] = "x") -> None:
    await ctx.db.insert(Note(text=after, stars=0))
    broken()


def broken() -> None:
    raise ZeroDivisionError("no")


@query
async def returns_wrong(ctx: QueryCtx) -> int:
    return "text"  # type: ignore


@query
async def whoami(ctx: QueryCtx) -> str | None:
    identity = await ctx.auth.get_user_identity()
    return None if identity is None else f"{ctx.user_id} {identity.get('name')}"


@query
async def secret(ctx: QueryCtx) -> str | None:
    return ctx.env.get("SECRET")


@action
async def work(ctx: ActionCtx, text: str) -> int:
    print("working")
    await ctx.run_mutation(add, text=text)
    logging.getLogger("app").info("added")
    return await ctx.run_mutation(star, text=text)


@action
async def fail_inside(ctx: ActionCtx) -> None:
    await ctx.run_mutation(fail)


@action
async def wait(ctx: ActionCtx) -> None:
    await asyncio.Event().wait()


@action
async def leave(ctx: ActionCtx) -> None:
    raise SystemExit(3)


@query
async def talk(ctx: QueryCtx) -> None:
    print("printed")
    print("not ended", end="")
    logging.getLogger("app").warning("warned")
    ctx.log("error", "logged")
"""


@pytest.fixture
def notes() -> Mapping[str, str]:
    """The app."""
    return {"notes.py": NOTES}


@pytest.fixture
def testing(notes: Mapping[str, str]) -> Callable[[Callable[[ConvexTest], Awaitable[None]]], None]:
    """Runs a coroutine function with a fresh deployment of the app."""

    def run(scenario: Callable[[ConvexTest], Awaitable[None]], **options: Any) -> None:
        async def main() -> None:
            async with convex_test(notes, **options) as t:
                await scenario(t)

        asyncio.run(main())

    return run

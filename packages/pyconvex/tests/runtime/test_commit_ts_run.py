"""Commit timestamps as an app's mutations write them, through isolates and with documents typed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyconvex.testing import FunctionFailed, convex_test

OUTBOX = """
from pyconvex import CommitTs, Document, MutationCtx, QueryCtx, mutation, query

class Message(Document, table="messages", indexes={"by_at": ["at"]}):
    text: str
    at: CommitTs

@mutation
async def send(ctx: MutationCtx, *, texts: list[str]) -> list[bool]:
    for text in texts:
        await ctx.db.insert(Message(text=text, at=ctx.db.vars.commit_ts))
    own = await ctx.db.query(Message).with_index("by_at").collect()
    return [message.at is ctx.db.vars.commit_ts for message in own]

@mutation
async def leak(ctx: MutationCtx) -> CommitTs:
    return ctx.db.vars.commit_ts

@query
async def feed(ctx: QueryCtx) -> list[object]:
    found = await ctx.db.query(Message).with_index("by_at").collect()
    return [[message.text, message.at] for message in found]
"""


def test_a_feed_in_commit_order(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "outbox.py").write_text(OUTBOX)

    async def scenario() -> None:
        async with convex_test(tmp_path / "convex") as t:
            assert await t.mutation("outbox:send", texts=["a", "b"]) == [True, True]
            assert await t.mutation("outbox:send", texts=["c"]) == [False, False, True]
            feed: Any = await t.query("outbox:feed")
            assert [text for text, _ in feed] == ["a", "b", "c"]
            (_, first), (_, same), (_, later) = feed
            assert first == same < later
            with pytest.raises(FunctionFailed, match="not known before the mutation commits"):
                await t.mutation("outbox:leak")

    asyncio.run(scenario())

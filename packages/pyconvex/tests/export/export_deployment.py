"""A whole server whose tables leave, and a client with its admin key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2

from pyconvex.server import Server, Settings

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 120.0
SYNC = "/api/v1/data/sync"

APP = """
from pyconvex import *

@mutation
async def add(ctx: MutationCtx, table: str, count: int) -> None:
    for number in range(count):
        await ctx.db.insert(table, {"number": number, "big": Int64(2**53 + 1)})

@mutation
async def later(ctx: MutationCtx) -> None:
    await ctx.scheduler.run_after(3_600_000, internal.lib.never)

@mutation
async def change(ctx: MutationCtx, table: str, number: float) -> None:
    for found in await ctx.db.query(table).collect():
        if found["number"] == number:
            await ctx.db.patch(found["_id"], {"text": "changed", "data": b"\\x00\\xff"})

@mutation
async def remove(ctx: MutationCtx, table: str, number: float) -> None:
    for found in await ctx.db.query(table).collect():
        if found["number"] == number:
            await ctx.db.delete(found["_id"])

@internal_mutation
async def never(ctx: MutationCtx) -> None:
    pass
"""


class Deployment:
    """A server and a client with its admin key."""

    def __init__(self, server: Server, client: httpx2.AsyncClient) -> None:
        self.server = server
        self.client = client

    async def add(self, table: str, count: int) -> None:
        await self.run("add", table=table, count=count)

    async def run(self, name: str, **args: Any) -> None:
        answer = await self.client.post("/api/mutation", json={"path": f"lib:{name}", "args": args})
        assert answer.json()["status"] == "success", answer.text

    async def sync(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.client.post(SYNC, json=body, headers=sent)


def with_deployment(folder: Path, story: Callable[[Deployment], Coroutine[Any, Any, None]]) -> None:
    functions = folder / "convex"
    if not functions.exists():
        functions.mkdir()
        (functions / "lib.py").write_text(APP)

    async def main() -> None:
        settings = Settings(data=folder / "data", port=0, isolates=1)
        async with asyncio.timeout(DEADLINE_S), Server(settings) as server:
            await server.deploy(functions)
            headers = {"authorization": f"Convex {server.admin_key}", "accept-encoding": "identity"}
            async with httpx2.AsyncClient(
                base_url=server.url, headers=headers, timeout=DEADLINE_S
            ) as client:
                await story(Deployment(server, client))
        assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks were left behind"

    asyncio.run(main())

"""`--isolates 0`: the whole server in one process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pyconvex.server import Server, Settings

APP = """
import os

from pyconvex import Document, MutationCtx, QueryCtx, action, ActionCtx, mutation, query


class Note(Document, table="notes"):
    text: str


@mutation
async def add(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert(Note(text=text))


@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [note.text async for note in ctx.db.query(Note)]


@query
async def pid(ctx: QueryCtx) -> int:
    print("seen")
    return os.getpid()


@action
async def add_twice(ctx: ActionCtx) -> int:
    await ctx.run_mutation(add, text="a")
    await ctx.run_mutation(add, text="b")
    return os.getpid()
"""


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "notes.py").write_text(APP)
    return folder


async def ask(client: httpx2.AsyncClient, kind: str, path: str, **args: Any) -> dict[str, Any]:
    answer = await client.post(f"/api/{kind}", json={"path": path, "args": args, "format": "json"})
    found: dict[str, Any] = answer.json()
    return found


def test_functions_run_in_the_servers_process(functions: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with Server(Settings(data=tmp_path / "data", port=0, isolates=0)) as server:
            await server.deploy(functions)
            assert server.pids == []
            async with httpx2.AsyncClient(base_url=server.url) as client:
                seen = await ask(client, "query", "notes:pid")
                assert seen["value"] == os.getpid()
                assert seen["logLines"] == ["[LOG] 'seen'"]
                assert (await ask(client, "action", "notes:add_twice"))["value"] == os.getpid()
                assert (await ask(client, "query", "notes:texts"))["value"] == ["a", "b"]
                (functions / "notes.py").write_text(APP.replace('"seen"', '"new"'))
                await server.deploy(functions)
                assert (await ask(client, "query", "notes:pid"))["logLines"] == ["[LOG] 'new'"]
        assert not [name for name in sys.modules if name.startswith("_pyconvex_app")]

    asyncio.run(main())


@pytest.fixture
def dev(functions: Path, tmp_path: Path) -> Iterator[str]:
    """The address of `pyconvex dev --isolates 0`, once it has deployed."""
    command = [
        sys.executable,
        "-c",
        "from pyconvex.cli import main; main()",
        "dev",
        "--isolates",
        "0",
    ]
    process = subprocess.Popen(
        [
            *command,
            "--port",
            "0",
            "--json",
            "--no-watch",
            "--functions",
            str(functions),
            "--data",
            "data",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = ""
    for line in process.stdout:
        told = json.loads(line)
        url = told.get("url", url)
        if "deployed" in told:
            break
    try:
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_dev_takes_the_option(dev: str) -> None:
    async def main() -> None:
        async with httpx2.AsyncClient(base_url=dev) as client:
            assert (await ask(client, "query", "notes:texts"))["value"] == []

    asyncio.run(main())

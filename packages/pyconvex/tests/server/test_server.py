"""A whole deployment as one object: start, stop, and what stays between."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pyconvex.runtime.app.loader import SourceError
from pyconvex.server import PortTakenError, Server, Settings
from pyconvex.server.keys import admin_key
from pyconvex.storage import FolderRefused

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 60.0

APP = """
from pyconvex import *

@query
async def texts(ctx: QueryCtx) -> list[str]:
    return [row["text"] for row in await ctx.db.query("notes").collect()]

@mutation
async def add(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert("notes", {"text": text})
"""


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "lib.py").write_text(APP)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", port=0, isolates=1)


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            result = await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "tasks were left behind"
        return result

    return asyncio.run(bounded())


async def ask(server: Server, kind: str, path: str, **args: Any) -> Any:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{server.url}/api/{kind}", json={"path": path, "args": args})
    return answer.json()["value"]


def gone(pids: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# The key


def test_a_folder_has_one_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = admin_key(tmp_path, "local")
    finally:
        os.umask(before)
    path = tmp_path / "admin_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key.text.startswith("local|")
    assert admin_key(tmp_path, "renamed").text == key.text
    assert key.text not in repr(key)


# The server


def test_it_serves_stops_and_serves_the_same_again(functions: Path, settings: Settings) -> None:
    async def main() -> list[int]:
        pids: list[int] = []
        keys = []
        for text in ("a", "b"):
            async with Server(settings) as server:
                if text == "a":
                    assert await server.redeploy() is None
                    await server.deploy(functions)
                    (functions / "lib.py").write_text("broken(")
                else:
                    assert await server.redeploy() is not None
                await ask(server, "mutation", "lib:add", text=text)
                assert (await ask(server, "query", "lib:texts"))[-1] == text
                keys.append(server.admin_key)
                pids += server.pids
        assert keys[0] == keys[1]
        return pids

    gone(run(main))


def test_a_start_that_fails_takes_everything_back(settings: Settings) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port} .*--port 0"):
                await Server(Settings(data=settings.data, port=port)).start()
        async with Server(settings) as server:
            other = Server(Settings(data=settings.data, port=0))
            with pytest.raises(FolderRefused, match=str(os.getpid())):
                await other.start()
            assert server.url.startswith("http://127.0.0.1:")
        async with Server(settings):
            pass

    run(main)


def test_a_deploy_that_fails_leaves_it_serving(functions: Path, settings: Settings) -> None:
    async def main() -> None:
        async with Server(settings) as server:
            await server.deploy(functions)
            with pytest.raises(SourceError):
                await server.deploy(functions / "missing")
            assert await ask(server, "query", "lib:texts") == []

    run(main)


def test_a_change_of_variables_is_told_once(settings: Settings) -> None:
    async def main() -> None:
        async with Server(settings) as server:
            waiting = asyncio.create_task(server.environment_change())
            async with httpx2.AsyncClient(
                headers={"Authorization": f"Convex {server.admin_key}"}
            ) as client:
                await client.post(
                    f"{server.url}/api/update_environment_variables",
                    json={"changes": [{"name": "A", "value": "1"}]},
                )
            await waiting
            again = asyncio.create_task(server.environment_change())
            await asyncio.sleep(0)
            assert not again.done()
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)

    run(main)


def test_stopping_lets_requests_under_way_end(functions: Path, settings: Settings) -> None:
    (functions / "slow.py").write_text(
        "import asyncio\nfrom pyconvex import *\n"
        "@action\nasync def sleeps(ctx: ActionCtx) -> str:\n"
        "    await asyncio.sleep(0.3)\n    return 'done'\n"
    )

    async def main() -> None:
        server = Server(settings)
        await server.start()
        await server.deploy(functions)
        asking = asyncio.create_task(ask(server, "action", "slow:sleeps"))
        while len(server.pids) < 3:  # the template, a ready isolate, and the action's
            await asyncio.sleep(0.01)
        await server.stop()
        assert await asking == "done"

    run(main)

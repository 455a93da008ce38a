"""Where the tests of this room find what they share, and one deployment for questions of form."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pyconvex.server import Server, Settings

PATIENCE_S = 120.0
APP = """
from pyconvex import *

@mutation
async def add(ctx: MutationCtx) -> None:
    for number in range(3):
        await ctx.db.insert("notes", {"number": number, "big": Int64(number)})
"""


class _Thread(threading.Thread):
    """A server on an event loop of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.started = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        (self._folder / "convex").mkdir()
        (self._folder / "convex" / "lib.py").write_text(APP)
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            settings = Settings(data=self._folder / "data", port=0, isolates=1)
            async with Server(settings) as server:
                await server.deploy(self._folder / "convex")
                self.url, self.key = server.url, server.admin_key
                self.started.set()
                await self.ended.wait()
        finally:
            self.started.set()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.join()


@pytest.fixture(scope="session")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str, str, bytes, dict[str, str]], httpx2.Response]]:
    """Asks one deployment, which has three notes, with its admin key unless another is given."""
    thread = _Thread(tmp_path_factory.mktemp("shared"))
    thread.start()
    thread.started.wait(PATIENCE_S)

    def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        sent = {"authorization": f"Convex {thread.key}", **headers}
        return httpx2.request(
            method, f"{thread.url}{path}", content=body, headers=sent, timeout=PATIENCE_S
        )

    added = ask(
        "POST",
        "/api/mutation",
        b'{"path":"lib:add","args":{}}',
        {"content-type": "application/json"},
    )
    assert added.json()["status"] == "success"
    yield ask
    thread.end()

"""Deployments for official clients to talk to, and a line between both that can be cut.

Owns servers in threads, on ports of their own. Never changes what is sent. One invariant: both
deployments serve the same functions: those of `app`, and their twins in `memory_deployment`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from memory_deployment import MemoryDeployment

from pyconvex.auth import AdminKey, DeploymentAuthenticator
from pyconvex.http import Deployment, create_app
from pyconvex.server import Server, Settings
from pyconvex.sync import SyncEndpoint

APP = Path(__file__).parent / "app"


@dataclass(frozen=True)
class Served:
    """Where a deployment listens, and its key."""

    url: str
    admin_key: str


@asynccontextmanager
async def memory() -> AsyncIterator[Served]:
    """The edges before a deployment in memory."""
    deployment, key = MemoryDeployment(), AdminKey("memory|goodkey")
    authenticator = DeploymentAuthenticator(key)
    app = create_app(
        deployment,
        authenticator=authenticator,
        environment=deployment,
        sync=SyncEndpoint(deployment, authenticator),
        deployment=Deployment(name="memory", version="0"),
    )
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]  # not ours here
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", key.text)
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def pyconvex(functions: Path = APP) -> AsyncIterator[Served]:
    """The whole server, with the functions of `app` or of another folder."""
    with tempfile.TemporaryDirectory() as data:
        async with Server(Settings(data=Path(data), port=0, isolates=1)) as server:
            await server.deploy(functions)
            yield Served(server.url, server.admin_key)


SERVERS: dict[str, Callable[[], AbstractAsyncContextManager[Served]]] = {
    "memory": memory,
    "pyconvex": pyconvex,
}


@contextmanager
def in_thread(serve: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[Any]:
    """Run a server on an event loop in a thread, until the block ends."""
    entered: Future[tuple[Any, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        leaving = asyncio.Event()
        async with serve() as served:
            entered.set_result((served, asyncio.get_running_loop(), leaving))
            await leaving.wait()

    # Its whole life is in the thread: the caller's may have a loop of its own, as Playwright's has.
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(lambda: asyncio.run(main()))
        wait([entered, ended], 60, FIRST_COMPLETED)
        if ended.done():
            ended.result()
        served, loop, leaving = entered.result(0)
        try:
            yield served
        finally:
            loop.call_soon_threadsafe(leaving.set)
            ended.result(60)


class Line:
    """A TCP proxy before a deployment: `cut` ends every connection, `deafen` swallows answers."""

    def __init__(self, served: Served) -> None:
        parts = urlsplit(served.url)
        self._target = (parts.hostname, parts.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._deaf = False
        self.admin_key = served.admin_key
        self.url = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Line:
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()

    def deafen(self) -> None:
        """From now on no client hears an answer, until the line is cut."""
        self._deaf = True

    def cut(self) -> None:
        """End every connection; new ones work."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.001)
        self._deaf = False

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        ways = [
            asyncio.create_task(self._carry(reader, far_writer, answers=False)),
            asyncio.create_task(self._carry(far_reader, writer, answers=True)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, far_writer):
            end.transport.abort()
            self._writers.discard(end)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if not (answers and self._deaf):
                    writer.write(chunk)
                    await writer.drain()

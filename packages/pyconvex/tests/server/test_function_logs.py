"""What a whole server tells of executions: of HTTP actions, and of processes that end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from pyconvex.server import Server, Settings

DEADLINE_S = 60.0
LIB = """
import os
from pyconvex import *

@mutation
async def crashes(ctx: MutationCtx) -> None:
    os._exit(3)

@action
async def tells_and_crashes(ctx: ActionCtx, folder: str) -> None:
    print("working")
    while not os.path.exists(folder + "/go"):
        import asyncio
        await asyncio.sleep(0.02)
    os._exit(3)
"""
HTTP = """
from pyconvex import *

http = http_router()

@http.route(path="/teapot", method="GET")
async def teapot(ctx: HttpActionCtx, request: Request) -> Response:
    print("short and stout")
    return Response("no coffee", status=418)

@http.route(path="/broken", method="GET")
async def broken(ctx: HttpActionCtx, request: Request) -> Response:
    raise ValueError("cracked")
"""


class Told:
    """Follows the logs of one server."""

    def __init__(self, server: Server, client: httpx2.AsyncClient) -> None:
        self._server = server
        self._client = client
        self._cursor = 0.0
        self.entries: list[Any] = []

    async def until(self, **wanted: object) -> Any:
        """The first entry with these fields."""
        while True:
            for entry in self.entries:
                if all(entry.get(name) == value for name, value in wanted.items()):
                    return entry
            answer = await self._client.get(
                f"{self._server.url}/api/stream_function_logs?cursor={self._cursor}",
                headers={"authorization": f"Convex {self._server.admin_key}"},
            )
            self.entries += answer.json()["entries"]
            self._cursor = answer.json()["newCursor"]


def test_http_actions_and_ends_of_processes(tmp_path: Path) -> None:
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "lib.py").write_text(LIB)
    (folder / "http.py").write_text(HTTP)
    settings = Settings(data=tmp_path / "data", port=0, isolates=1)

    async def main() -> None:
        async with (
            asyncio.timeout(DEADLINE_S),
            Server(settings) as server,
            httpx2.AsyncClient(timeout=DEADLINE_S) as client,
        ):
            await server.deploy(folder)
            told = Told(server, client)

            assert (await client.get(f"{server.site_url}/teapot")).status_code == 418
            teapot = await told.until(kind="Completion", identifier="GET /teapot")
            assert (teapot["udfType"], teapot["success"]) == ("HttpAction", {"status": "418"})
            assert teapot["logLines"] == ["[LOG] 'short and stout'"]
            assert teapot["caller"] == "HttpEndpoint"
            await client.get(f"{server.site_url}/broken")
            broken = await told.until(kind="Completion", identifier="GET /broken")
            assert broken["success"] is None
            assert broken["error"].startswith("Uncaught ValueError: cracked\n    at broken (")

            async def call(kind: str, path: str, **args: str) -> Any:
                body = {"path": path, "args": args}
                return (await client.post(f"{server.url}/api/{kind}", json=body)).json()

            await call("mutation", "lib:crashes")
            crashed = await told.until(kind="Completion", identifier="lib:crashes")
            assert crashed["error"]
            calling = asyncio.create_task(
                call("action", "lib:tells_and_crashes", folder=str(tmp_path))
            )
            progress = await told.until(kind="Progress", identifier="lib:tells_and_crashes")
            assert progress["logLines"] == ["[LOG] 'working'"]
            (tmp_path / "go").touch()
            ended = await told.until(kind="Completion", identifier="lib:tells_and_crashes")
            assert ended["executionId"] == progress["executionId"]
            assert ended["logLines"] == []
            assert ended["error"]
            assert (await calling)["logLines"] == ["[LOG] 'working'"]

    asyncio.run(main())

"""What clients of a production deployment read of errors and logs: that there was one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pyconvex.server import Server, Settings

DEADLINE_S = 60.0
APP = """
from pyconvex import *

@query
async def fails(ctx: QueryCtx) -> None:
    print("secret thoughts")
    raise ValueError("secret")

@query
async def refuses(ctx: QueryCtx) -> None:
    raise ConvexError({"code": 7})

@query
async def returns(ctx: QueryCtx) -> int:
    print("secret thoughts")
    return 1
"""


async def ask(server: Server, path: str, **headers: str) -> Any:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            f"{server.url}/api/query",
            json={"path": f"lib:{path}", "args": {}},
            headers={"convex-request-id": "abc", **headers},
        )
    return answer.json()


@pytest.mark.parametrize("redact", [False, True])
def test_redaction_is_for_clients_and_not_for_administrators(tmp_path: Path, redact: bool) -> None:
    folder = tmp_path / "convex"
    folder.mkdir()
    (folder / "lib.py").write_text(APP)
    settings = Settings(data=tmp_path / "data", port=0, isolates=0, redact_logs_to_client=redact)

    async def main() -> None:
        async with asyncio.timeout(DEADLINE_S), Server(settings) as server:
            await server.deploy(folder)
            client = [await ask(server, path) for path in ("fails", "refuses", "returns")]
            admin = {"authorization": f"Convex {server.admin_key}"}
            seen = await ask(server, "fails", **admin)
            assert seen["errorMessage"].startswith(
                "[Request ID: abc] Server Error\nUncaught ValueError: secret\n    at fails ("
            )
            assert seen["logLines"] == ["[LOG] 'secret thoughts'"]
            failed, refused, returned = client
            assert refused["errorData"] == {"code": 7}
            assert returned["value"] == 1
            if redact:
                assert "secret" not in str(client)
                assert failed == {
                    "status": "error",
                    "errorMessage": "[Request ID: abc] Server Error",
                }
                assert refused["errorMessage"] == "[Request ID: abc] Server Error"
            else:
                assert failed == seen
                assert returned["logLines"] == ["[LOG] 'secret thoughts'"]

    asyncio.run(main())

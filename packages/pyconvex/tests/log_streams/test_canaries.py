"""Secrets of a deployment never stand in an event, nor in what is kept or told of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streaming import Receiver, Streaming, on_a_server, until

from pyconvex.log_streams.topics import SUBSCRIBABLE

TOKEN = "canary-bearer-token"
VARIABLE = "canary-variable-value"
ARGUMENT = "canary-argument"
PASSWORD = "canary-url-password"
APP = """
from pyconvex import *
from pyconvex import http_router

http = http_router()

@http.route(path="/hook", method="POST")
async def hook(ctx: HttpActionCtx, request: Request) -> Response:
    assert ctx.env["TOKEN"]
    print("hooked")
    raise ValueError("after reading the header")

@mutation
async def read(ctx: MutationCtx, secret: str) -> None:
    assert ctx.env["TOKEN"]
    print("read it")
    raise ValueError("no")
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_canaries(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "events.jsonl"
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "http.py").write_text(APP.split("@mutation")[0])
    (tmp_path / "convex" / "canary.py").write_text(
        "from pyconvex import *\n\n@mutation" + APP.split("@mutation")[1]
    )

    async def test(it: Streaming) -> None:
        every = [*SUBSCRIBABLE]
        id = await it.add_webhook(receiver, topics=every)
        file = await it.create(logStreamType="file", path=str(path), topics=every)
        await it.until_state(file["id"], "active")
        body = {"changes": [{"name": "TOKEN", "value": VARIABLE}]}
        assert (await it.ask("POST", "/api/update_environment_variables", body))[0] == 200
        headers = {"authorization": f"Bearer {TOKEN}", "x-api-key": TOKEN, "cookie": TOKEN}
        answer = await it.client.post(
            f"{it.server.site_url}/hook?key={TOKEN}", headers=headers, content=ARGUMENT.encode()
        )
        assert answer.status_code == 500
        failed = await it.call("mutation", "canary:read", secret=ARGUMENT)
        assert failed["status"] == "error"
        wrong = {"logStreamType": "webhook", "url": f"http://ann:{PASSWORD}@127.0.0.1/"}
        status, refusal = await it.ask("POST", f"/api/v1/update_log_stream/{id}", wrong)
        assert (status, PASSWORD in json.dumps(refusal)) == (400, False)
        await it.ask("POST", f"/api/v1/rotate_webhook_secret/{id}")
        it.server.host_events.look_at_minute()
        await it.server.host_events.look_at_storage()
        await until(
            lambda: path.exists() and "current_storage_usage" in path.read_text()
            and "read it" in path.read_text() and "hooked" in path.read_text()
        )  # fmt: skip
        while (await it.delivery(file["id"]))["waiting"]:
            await asyncio.sleep(0.05)
        _, overview = await it.ask("GET", "/api/pyconvex/log_streams")
        told = [path.read_text(), *(body.decode() for body in receiver.bodies)]
        for secret in (it.server.admin_key, it.server.admin_key.split("|")[1], TOKEN, VARIABLE,
                       ARGUMENT, PASSWORD, receiver.secret or "none"):  # fmt: skip
            assert all(secret not in text for text in told), secret
        assert VARIABLE not in json.dumps(overview)

    on_a_server(tmp_path, test)

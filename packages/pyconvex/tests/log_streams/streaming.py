"""A whole server with log streams, and a receiver of webhooks that can be told how to answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from pyconvex.server import Server, Settings

DEADLINE_S = 90.0
APP = """
from pyconvex import *

@mutation
async def say(ctx: MutationCtx, text: str, who: str | None = None) -> None:
    if who is not None:
        ctx.set_user_id(who)
        ctx.set_session_id("session-" + who)
    print(text)

@mutation
async def log(ctx: MutationCtx, level: int, text: str) -> None:
    import logging
    logging.getLogger("shop").log(level, text, "tea")

@mutation
async def fail(ctx: MutationCtx, text: str) -> None:
    print("before " + text)
    raise ValueError(text)

@mutation
async def die(ctx: MutationCtx, text: str) -> None:
    import os
    ctx.set_user_id("ada")
    ctx.set_session_id("session-ada")
    print(text)
    print("and then", end="")
    os._exit(7)

@query
async def look(ctx: QueryCtx) -> int:
    print("looking")
    return 1

@mutation
async def keep(ctx: MutationCtx, text: str) -> None:
    await ctx.db.insert("things", {"text": text})

@mutation
async def audited(ctx: MutationCtx) -> None:
    ctx.audit({"refund": 7})
    raise ValueError("after it")

@action
async def slow(ctx: ActionCtx) -> None:
    import asyncio
    await asyncio.sleep(3600)

@mutation
async def later(ctx: MutationCtx, count: int) -> None:
    for _ in range(count):
        await ctx.scheduler.run_after(0, slow)

@action
async def work(ctx: ActionCtx, text: str) -> None:
    print(text)
    await ctx.run_mutation(say, text=text + " inside")
"""


class Receiver:
    """Takes webhooks: keeps what it accepts, and checks each signature as it comes."""

    def __init__(self, port: int = 0) -> None:
        self.events: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.secret: str | None = None
        #: What it answers with: a status, and headers.
        self.answer: tuple[int, dict[str, str]] = (200, {})
        self.requests = 0
        #: Bodies over this are refused with 413.
        self.max_bytes = 1 << 30
        #: While cleared, requests wait for their answers.
        self.answering = threading.Event()
        self.answering.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests += 1
                receiver.answering.wait(DEADLINE_S)
                status, headers = receiver.take(body, self.headers.get("x-webhook-signature", ""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/in"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, body: bytes, signature: str) -> tuple[int, dict[str, str]]:
        if len(body) > self.max_bytes:
            return 413, {}
        if self.answer[0] >= 300:
            return self.answer
        if self.secret is not None:
            digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(signature, f"sha256={digest}"):
                return 401, {}
        self.bodies.append(body)
        text = body.decode()
        found = json.loads(text) if text[0] == "[" else [json.loads(x) for x in text.split("\n")]
        self.events += found
        return self.answer

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [event for event in list(self.events) if event["topic"] == topic]

    @property
    def lines(self) -> list[str]:
        return [event["message"].strip("'") for event in self.of("console")]

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()


class Streaming:
    """What tests do with one running server."""

    def __init__(self, server: Server, client: httpx2.AsyncClient) -> None:
        self.server = server
        self.client = client

    async def call(self, kind: str, path: str, **args: Any) -> Any:
        body = {"path": path, "args": args, "format": "json"}
        answer = await self.client.post(f"{self.server.url}/api/{kind}", json=body)
        return answer.json()

    async def say(self, *texts: str) -> None:
        for text in texts:
            assert (await self.call("mutation", "shop:say", text=text))["status"] == "success"

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """Status and JSON of an answer of the deployment API."""
        headers = {"authorization": f"Convex {key or self.server.admin_key}"}
        if body is not None:
            headers["content-type"] = "application/json"
        content = None if body is None else json.dumps(body).encode()
        answer = await self.client.request(
            method, f"{self.server.url}{path}", content=content, headers=headers
        )
        return answer.status_code, answer.json() if answer.content else None

    async def create(self, **settings: Any) -> dict[str, Any]:
        status, made = await self.ask("POST", "/api/v1/create_log_stream", settings)
        assert status == 200, made
        created: dict[str, Any] = made
        return created

    async def add_webhook(self, receiver: Receiver, **more: Any) -> str:
        made = await self.create(
            logStreamType="webhook", **({"url": receiver.url, "format": "jsonl"} | more)
        )
        receiver.secret = made["hmacSecret"]
        await self.until_state(made["id"], "active")
        return str(made["id"])

    async def status(self, id: str) -> dict[str, Any]:
        code, got = await self.ask("GET", f"/api/v1/get_log_stream/{id}")
        assert code == 200, got
        found: dict[str, Any] = got["status"]
        return found

    async def until_state(self, id: str, state: str) -> dict[str, Any]:
        while (found := await self.status(id))["type"] != state:
            await asyncio.sleep(0.05)
        return found

    async def delivery(self, id: str) -> dict[str, Any]:
        _, told = await self.ask("GET", "/api/pyconvex/log_streams")
        found: dict[str, Any] = next(s for s in told["streams"] if s["id"] == id)["delivery"]
        return found


async def until(condition: Callable[[], Any]) -> None:
    """Return once this is so; the test's own deadline bounds it."""
    while not condition():
        await asyncio.sleep(0.02)


def write_app(folder: Path) -> Path:
    functions = folder / "convex"
    functions.mkdir(exist_ok=True)
    (functions / "shop.py").write_text(APP)
    return functions


def on_a_server(tmp_path: Path, test: Callable[[Streaming], Awaitable[None]], **more: Any) -> None:
    """Run a test on a server of its own; `more` are settings."""
    settings = Settings(**({"data": tmp_path / "data", "port": 0, "isolates": 1} | more))

    async def main() -> None:
        async with (
            asyncio.timeout(DEADLINE_S),
            Server(settings) as server,
            httpx2.AsyncClient(timeout=DEADLINE_S) as client,
        ):
            await server.deploy(write_app(tmp_path))
            await test(Streaming(server, client))

    asyncio.run(main())

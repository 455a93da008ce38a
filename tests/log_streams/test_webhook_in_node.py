"""The webhook against a receiver in another language, as Convex's documentation describes one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pyconvex.delivery.transport import HttpTransport
from pyconvex.log_streams import Deployment, Request, StreamEvent, v2
from pyconvex.log_streams.webhook import WebhookSink, signed
from pyconvex.server import Server, Settings

HERE = Path(__file__).parent
DEADLINE_S = 60.0
APP = """
from pyconvex import *

@mutation
async def say(ctx: MutationCtx, text: str) -> None:
    print(text)
"""


class Node:
    """The receiver as a process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(HERE / "receiver.mjs")], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        self.url = f"http://127.0.0.1:{json.loads(self._out.readline())['port']}"
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._out:
            self.events.append(json.loads(line))

    def knows(self, secret: str) -> None:
        httpx2.post(f"{self.url}/secret", content=secret.encode(), timeout=DEADLINE_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(DEADLINE_S)
        self._out.close()


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_what_a_server_sends_is_signed_as_documented(
    tmp_path: Path, node: Node, format: str
) -> None:
    functions = tmp_path / "convex"
    functions.mkdir()
    (functions / "shop.py").write_text(APP)

    async def main() -> None:
        settings = Settings(data=tmp_path / "data", port=0, isolates=1)
        async with (
            asyncio.timeout(DEADLINE_S),
            Server(settings) as server,
            httpx2.AsyncClient(timeout=DEADLINE_S) as client,
        ):
            await server.deploy(functions)
            streams = server.log_streams
            made = await streams.create(
                {"logStreamType": "webhook", "url": node.url, "format": format}
            )
            while (status := streams.get(made["id"])["status"])["type"] == "pending":
                await asyncio.sleep(0.05)
            assert status == {"type": "active"}
            node.knows(made["hmacSecret"])
            texts = ["plain", "Umlaute äöü € 🦔", 'quotes " and \\ and \u2028 line']
            for text in texts:
                call = {"path": "shop:say", "args": {"text": text}, "format": "json"}
                answer = await client.post(f"{server.url}/api/mutation", json=call)
                assert answer.json()["status"] == "success"
            while len([e for e in node.events if e["topic"] == "console"]) < 3:
                await asyncio.sleep(0.05)
            said = [e["message"] for e in node.events if e["topic"] == "console"]
            assert said == [f"'{t}'".replace("\\", "\\\\") for t in texts]

    asyncio.run(main())


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_what_was_kept_through_an_outage_passes_the_replay_window(node: Node, format: str) -> None:
    hours_ago = int(time.time() * 1000) - 3 * 3_600_000
    ran = v2.FunctionInfo(path="shop:say", type="mutation", request_id="r")
    events = [
        StreamEvent(
            event=v2.Console(
                timestamp=hours_ago + n, function=ran, log_level="LOG", message=f"'{n}'",
                is_truncated=False,
            ),
            id=str(n),
            ts_ms=float(hours_ago + n),
        )
        for n in range(3)
    ]  # fmt: skip
    config = {"url": node.url, "format": format, "hmacSecret": "s3cret"}
    sink = WebhookSink()
    node.knows("s3cret")
    request = sink.encode(events, config, Deployment(deployment_name="hedgehog"))
    assert request is not None

    async def main() -> list[int]:
        transport = HttpTransport()
        try:
            plain: Request = signed(request, "s3cret")
            forged: Request = signed(request, "another")
            return [
                (await transport.send(forged)).status,
                (await transport.send(plain)).status,
                (await sink.send(request, config, transport)).status,
            ]
        finally:
            await transport.aclose()

    assert asyncio.run(main()) == [401, 403, 200]
    deadline = time.monotonic() + DEADLINE_S
    while len(node.events) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [e["topic"] for e in node.events] == ["verification", *["console"] * 3]
    assert {e["convex"]["deployment_name"] for e in node.events} == {"hedgehog"}

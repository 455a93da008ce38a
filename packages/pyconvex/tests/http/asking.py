"""Asks an ASGI application over HTTP, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memory_deployment import MemoryDeployment

from pyconvex.auth import AdminKey, DeploymentAuthenticator
from pyconvex.http import Deployment, create_app
from pyconvex.runlog.recent import RecentRuns

ADMIN = {"authorization": "Convex x|goodkey"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        assert set(self.json) == {"code", "message"}
        assert self.json["message"]
        return self.status, self.json["code"]


class Asking:
    """A deployment in memory and the application before it."""

    def __init__(self, *, redact: bool = False) -> None:
        self.deployment = MemoryDeployment()
        self.sockets: list[str] = []
        #: Path and raw path of what went to the site.
        self.site_requests: list[tuple[str, bytes | None]] = []
        self.recent = RecentRuns(lambda: 1000.0)
        self.app = create_app(
            self.deployment,
            authenticator=DeploymentAuthenticator(AdminKey("x|goodkey")),
            environment=self.deployment,
            sync=self._sync,
            site=self._site,
            deployment=Deployment(name="hedgehog", version="1.2.3", redact=redact),
            recent=self.recent,
            new_request_id=lambda: "0123456789abcdef",
        )

    async def _sync(self, scope: Any, receive: Any, send: Any) -> None:
        self.sockets.append(scope["path"])

    async def _site(self, scope: Any, receive: Any, send: Any) -> None:
        self.site_requests.append((scope["path"], scope.get("raw_path")))
        await send(
            {"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]}
        )
        await send({"type": "http.response.body", "body": b""})

    def post(self, url: str, body: Any, **headers: str) -> Answer:
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", url, encoded, {"content-type": "application/json", **headers})

    def get(self, url: str, **headers: str) -> Answer:
        return self.ask("GET", url, b"", headers)

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        chunks = [body] if isinstance(body, bytes) else list(body)
        path, _, query = url.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        }
        return asyncio.run(self._ask(scope, chunks))

    async def _ask(self, scope: dict[str, Any], chunks: list[bytes]) -> Answer:
        sent: list[Any] = []
        messages = [
            {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1}
            for n, chunk in enumerate(chunks)
        ]
        self.unread = messages

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            sent.append(event)

        await self.app(scope, receive, send)
        start, *pieces = sent
        body = b"".join(piece["body"] for piece in pieces)
        assert start["type"] == "http.response.start"
        assert {piece["type"] for piece in pieces} == {"http.response.body"}
        assert [bool(piece.get("more_body")) for piece in pieces[-2:]] in ([False], [True, False])
        headers = {k.decode(): v.decode() for k, v in start["headers"]}
        assert len(headers) == len(start["headers"])
        if scope["method"] != "HEAD":
            assert headers["content-length"] == str(len(body))
        return Answer(start["status"], headers, body)

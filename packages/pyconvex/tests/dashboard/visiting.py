"""Somebody at a browser without a window: keeps cookies, sends the origin, follows nothing."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx2

from pyconvex.auth import AdminKey, DeploymentAuthenticator
from pyconvex.dashboard import Dashboard, Sessions
from pyconvex.runlog.recent import RecentRuns

ORIGIN = "http://127.0.0.1:3210"
KEY = "hedgehog|goodkey"


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Visitor:
    """Asks a dashboard over HTTP, without a server."""

    def __init__(self, **parts: Any) -> None:
        self.clock = Clock()
        self.sessions = Sessions(self.clock)
        self.origin = parts.pop("seen_at", ORIGIN)
        self.recent = RecentRuns()
        self.dashboard = Dashboard(
            self.sessions,
            DeploymentAuthenticator(AdminKey(KEY)),
            self.recent,
            deployment="hedgehog",
            **parts,
        )
        self.cookies = httpx2.Cookies()

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.ask("GET", path, headers={"accept": "text/html", **headers})

    def post(self, path: str, fields: dict[str, Any], **headers: str) -> httpx2.Response:
        told = {"origin": self.origin, "sec-fetch-site": "same-origin", **headers}
        return self.ask("POST", path, data=fields, headers=told)

    def send(self, path: str, **fields: Any) -> httpx2.Response:
        """Post as a form on a page does, with the session's token."""
        return self.post(path, {"form_token": self.form_token(), **fields})

    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get("/dashboard/x").text)
        assert found is not None
        return found[1]

    def sign_in(self) -> None:
        answer = self.post("/dashboard/sign_in", {"key": KEY})
        assert answer.status_code == 303, answer.text

    def ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        async def asked() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=self.dashboard)
            async with httpx2.AsyncClient(
                transport=transport, base_url=self.origin, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, **request)
                self.cookies = client.cookies
                return answer

        return asyncio.run(asked())

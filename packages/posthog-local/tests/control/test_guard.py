"""The guard's three checks, at the edges that a running server cannot show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from posthog_local.control.guard import Guard


def status(client: str | None, host: str, origin: str | None = None, **settings: Any) -> int:
    """The status that a request meets: 200 when it is let through."""
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": headers,
        "client": None if client is None else (client, 1),
    }
    asyncio.run(Guard(app, **{"allowed_hosts": frozenset(), **settings})(scope, receive, send))
    return statuses[0]


@pytest.mark.parametrize("client", ["10.0.0.9", "not-an-address", None])
def test_other_machines_are_refused_unless_allowed(client: str | None) -> None:
    assert status(client, "localhost") == 403
    assert status(client, "localhost", allow_remote=True) == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8010", 200),
        ("[::1]:8010", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("posthog.test", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_host_names(host: str, expected: int) -> None:
    assert status("127.0.0.1", host, allowed_hosts=frozenset(["posthog.test"])) == expected


def test_origins() -> None:
    assert status("::1", "localhost:5", "http://localhost:5") == 200
    assert status("::1", "localhost:5", "http://localhost:6") == 403

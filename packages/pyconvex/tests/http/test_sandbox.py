"""The header that keeps the app's pages apart from the dashboard."""

from __future__ import annotations

import asyncio
from typing import Any

from pyconvex.http.sandbox import POLICY, sandboxed


def test_the_start_of_a_response_gets_the_header_and_keeps_its_own() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def respond() -> None:
        own = [(b"content-security-policy", b"default-src 'none'"), (b"x", b"y")]
        start = {"type": "http.response.start", "status": 200, "headers": own}
        await sandboxed(send)(start)
        await sandboxed(send)({"type": "http.response.body", "body": b"b"})
        assert len(own) == 2

    asyncio.run(respond())
    # Of several policies browsers obey all.
    assert sent[0]["headers"][0] == (b"content-security-policy", b"default-src 'none'")
    assert sent[0]["headers"][2] == (b"content-security-policy", POLICY)
    assert b"allow-same-origin" not in POLICY
    assert sent[1] == {"type": "http.response.body", "body": b"b"}

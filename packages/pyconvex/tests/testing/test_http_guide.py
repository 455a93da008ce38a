"""The HTTP actions of the guide."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from pathlib import Path

from pyconvex.testing import convex_test

GUIDE = Path(__file__).parents[4] / "docs" / "http-actions.md"
FENCE = re.compile(r"^```python\n# convex/(\w+\.py)(?:, continued)?\n(.*?)^```", re.M | re.S)


def written() -> dict[str, str]:
    """The files that somebody has who types the guide."""
    files: dict[str, str] = {}
    for name, text in FENCE.findall(GUIDE.read_text()):
        files[name] = files.get(name, "") + text
    return files


def test_the_guide() -> None:
    body = b'{"order": "7", "cents": 500}'
    signature = hmac.new(b"s", body, hashlib.sha256).hexdigest()

    async def main() -> None:
        async with convex_test(written(), env={"WEBHOOK_SECRET": "s"}) as t:
            hook = "/payments/webhook"
            signed = {"X-Signature": signature}
            assert (await t.fetch(hook, method="POST", body=body)).status == 401
            answer = await t.fetch(hook, method="POST", body=body, headers=signed)
            assert answer.status == 204
            assert (await t.fetch("/orders/7")).json() == {"order": "7", "cents": 500}
            answer = await t.fetch("/countdown")
            assert answer.text == "data: 3\n\ndata: 2\n\ndata: 1\n\n"
            assert answer.headers["content-type"] == "text/event-stream"
            answer = await t.fetch("/public", method="OPTIONS")
            assert answer.headers["access-control-allow-origin"] == "*"
            answer = await t.fetch("/public", method="POST", json=[1])
            assert answer.json() == [1]

    asyncio.run(main())

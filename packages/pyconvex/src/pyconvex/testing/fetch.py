"""A request to an HTTP action of the app that is tested.

Owns the client's side of one exchange: what is sent, and what came back. Never goes over a network.
One invariant: what came back is whole, whatever pieces it came in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from pyconvex.functions.headers import HeaderFields, Headers
from pyconvex.http.site import NOT_ENABLED, no_route
from pyconvex.runtime.http_actions.http_exchange import MAX_BODY_BYTES, BodyTooLarge
from pyconvex.runtime.processes.messages import ResponseHead

#: Where the HTTP actions of a deployment under test seem to be.
TEST_SITE_URL = "https://some.convex.site"
TEST_CLOUD_URL = "https://some.convex.cloud"


class Fetched:
    """What an HTTP action has answered."""

    def __init__(self, status: int, headers: HeaderFields, body: bytes) -> None:
        self.status = status
        self.headers = Headers(headers)
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<Fetched {self.status}: {self.text[:200]!r}>"


class KitExchange:
    """Sends a body, takes a response (`pyconvex.runtime.http_actions.http_exchange.Exchange`)."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self._body = body
        self._sent_bytes = 0
        self._over = asyncio.Event()

    async def read(self) -> bytes:
        async for piece in self._body:
            self._sent_bytes += len(piece)
            if self._sent_bytes > MAX_BODY_BYTES:
                raise BodyTooLarge
            if piece:
                return piece
        return b""

    async def start(self, head: ResponseHead) -> None:
        self.head = head
        self.pieces.append(head.body or b"")

    async def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    async def gone(self) -> None:
        await self._over.wait()

    def close(self) -> None:
        """Nothing more comes of this request."""
        self._over.set()


def not_found(path: str, *, enabled: bool) -> Fetched:
    """What a client gets where no route answers."""
    text = no_route(path) if enabled else NOT_ENABLED
    return Fetched(404, {"content-type": "text/plain; charset=utf-8"}, text.encode())


def encode_json(value: object) -> bytes:
    """A value as the JSON that is sent."""
    return json.dumps(value).encode()


async def sent(body: bytes | str | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body as it is sent."""
    if isinstance(body, (bytes, str)):
        yield body.encode() if isinstance(body, str) else body
    else:
        async for piece in body:
            yield piece

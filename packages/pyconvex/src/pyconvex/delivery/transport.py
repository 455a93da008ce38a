"""HTTP for lanes: one request out, one response back.

Owns the request and response values and the only place that knows an HTTP library. Never retries,
never follows redirects, never decides what a response means. One invariant: a send ends within its
deadline, as a response or as `Unreachable`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Protocol

import httpx2
import msgspec

#: A receiver that has not answered by then is treated as unreachable; PostHog's SDKs wait 10-15 s.
SEND_DEADLINE_S = 10.0
#: A project's flags are some megabytes; a receiver that answers without end must not fill memory.
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Request(msgspec.Struct, frozen=True):
    """A frozen HTTP request: the same bytes at every attempt."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def excerpt(self) -> str:
        """The beginning of the body on one line, for a log line or a reason."""
        return " ".join(self.body[:400].decode("utf-8", "replace").split())[:200]


class Unreachable(Exception):
    """No response: nobody knows whether the receiver took the request."""


class Transport(Protocol):
    """The way out of the machine, so that tests can stand in for it."""

    async def send(self, request: Request) -> Response:
        """Send once. Raises `Unreachable` when no complete response came in time."""

    async def aclose(self) -> None:
        """Close the connections."""


def origin_of(url: str) -> str:
    """Where an address leads, without what may be a secret in it.

    >>> origin_of("https://me:pw@logs.example.com:8443/in/abc?key=1")
    'https://logs.example.com:8443'
    """
    scheme, _, rest = url.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{place}" if place else "no address"


class HttpTransport:
    """A `Transport` over one connection pool, which all lanes of a process share."""

    def __init__(
        self, *, deadline_s: float = SEND_DEADLINE_S, max_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._client = httpx2.AsyncClient(timeout=deadline_s)

    async def send(self, request: Request) -> Response:
        asked = self._client.stream(
            request.method,
            request.url,
            headers=list(request.headers),
            content=request.body or None,
        )
        try:
            async with asyncio.timeout(self._deadline_s), asked as answer:
                body = await self._body(answer)
        except TimeoutError:
            said = f"no answer within {self._deadline_s:g} s from {origin_of(request.url)}"
            raise Unreachable(said) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            said = f"{type(error).__name__}: {error}, at {origin_of(request.url)}"
            raise Unreachable(said) from None
        return Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, body)

    async def _body(self, answer: httpx2.Response) -> bytes:
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > self._max_bytes:
                raise Unreachable(f"the answer has more than {self._max_bytes} bytes")
        return bytes(body)

    async def aclose(self) -> None:
        await self._client.aclose()

"""One request and one response, as values.

Owns their shape and how they meet ASGI. Handlers take a `Request` whose body was read within its
limit and give a `Response`; they never see a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import msgspec

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


# What still comes of a refused body is passed over for so long, and so much of it.
_PASSED_OVER_S = 5.0
_PASSED_OVER_BYTES = 256 * 1024 * 1024


class TooLarge(Exception):
    """The body is longer than its route takes."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request. Header names are lower-case; of repeated parameters the last counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    # What the braces of the route's path stood for.
    path_values: Mapping[str, str] = {}
    quota_limited: bool = False

    def header(self, name: str) -> str:
        """The header's value, empty when it is absent."""
        return self.headers.get(name, "")


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole response."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


def json_response(value: object, status: int = 200, **headers: str) -> Response:
    """`value` as JSON; header names are given with underscores."""
    pairs = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Response(status=status, body=msgspec.json.encode(value), headers=pairs)


def text_response(status: int, sentence: str) -> Response:
    """A plain sentence, as PostHog's capture service answers errors."""
    return Response(status=status, body=sentence.encode(), content_type="text/plain; charset=utf-8")


def head_of(scope: Scope, path_values: Mapping[str, str] | None = None) -> Request:
    """The request without its body."""
    query = scope["query_string"]
    return Request(
        method=scope["method"],
        path=scope["path"],
        path_values=path_values or {},
        query=_query(query) if query else {},
        headers={
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        },
    )


async def read_body(head: Request, receive: Receive, limit_bytes: int) -> bytes:
    """The body, or `TooLarge` as soon as it is known to be longer than the limit."""
    announced = head.header("content-length")
    if announced.isdigit() and int(announced[:18]) > limit_bytes:
        raise TooLarge
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            raise TooLarge
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def send_early(
    response: Response,
    receive: Receive,
    send: Send,
    extra_headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """Sends a response to a body that nobody wants, and passes over what of it still comes.

    A connection that is closed with bytes unread is reset, and takes the response with it: whoever
    sends everything first would never learn why. Within bounds: then it is closed all the same.
    """
    await _begin(response, send, extra_headers)
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    size, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PASSED_OVER_S):
            while more and size < _PASSED_OVER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})


async def send_response(
    response: Response, send: Send, extra_headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Sends the response in one piece."""
    await _begin(response, send, extra_headers)
    await send({"type": "http.response.body", "body": response.body})


async def _begin(
    response: Response, send: Send, extra_headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    headers = [
        (b"content-type", response.content_type.encode("latin-1")),
        (b"content-length", str(len(response.body)).encode()),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers),
        *extra_headers,
    ]
    if response.status in (204, 304):
        headers = headers[2:]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


def _query(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=200))
    except ValueError:
        return {}

"""One HTTP request and its response, over ASGI.

Owns reading headers, query and body, and writing a whole response. Never routes. One invariant: a
body over its cap is refused before more than the cap has been read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
_Read = TypeVar("_Read")
#: What is given to a connection at once; it waits while more than that is not sent yet.
PIECE_BYTES = 256 * 1024


class RequestError(Exception):
    """A request that can't be carried out: an HTTP status, Convex's code, and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Gone(Exception):
    """The client left before its request was complete; there is nobody to answer."""


class Request:
    """What a client asks."""

    def __init__(
        self,
        method: str,
        peer: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        receive: Receive,
        query_string: bytes = b"",
    ) -> None:
        self.method = method
        #: The address that it came from, without port.
        self.peer = peer
        #: Without doubled slashes.
        self.path = path
        #: What stands in the place of `{id}` in the route's path.
        self.id = ""
        self._headers = dict(headers)
        self._query_string = query_string
        self._receive = receive

    @classmethod
    def of(cls, scope: Scope, receive: Receive, path: str) -> Request:
        """The request that an ASGI scope describes, for this path."""
        peer = (scope.get("client") or ("",))[0]
        headers, query_string = scope["headers"], scope["query_string"]
        return cls(scope["method"], peer, path, headers, receive, query_string)

    def header(self, name: bytes) -> str | None:
        """A header's value; the name in lower case."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one, the last."""
        if not self._query_string:
            return {}
        return dict(parse_qsl(self._query_string.decode("latin-1"), keep_blank_values=True))

    async def body(self, max_bytes: int) -> bytes:
        """The whole body; raises `RequestError` (413) beyond `max_bytes`."""
        declared = self._headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > max_bytes:
            raise _too_large(max_bytes)
        message = await self._receive()
        chunk: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body"):
            if len(chunk) > max_bytes:
                raise _too_large(max_bytes)
            return chunk
        chunks, size = [chunk], len(chunk)
        while message.get("more_body"):
            message = await self._receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > max_bytes:
                raise _too_large(max_bytes)
        if message["type"] != "http.request":
            raise Gone
        return b"".join(chunks)

    async def json_body(self, type: type[_Read], max_bytes: int, what: str) -> _Read:
        """The body as JSON of that type. Raises `RequestError` (400) that says what was awaited."""
        body = await self.body(max_bytes)
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(
                400, "BadJsonBody", f"Could not read the body as {what}: {error}."
            ) from None

    def cors(self) -> list[tuple[bytes, bytes]]:
        """The headers that let a page of any origin read the response."""
        origin = self._headers.get(b"origin")
        if origin is None:
            return []
        asked = self._headers.get(b"access-control-request-headers", b"")
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,OPTIONS"),
            (b"access-control-allow-headers", asked or b"content-type,convex-client,authorization"),
            (b"access-control-max-age", b"86400"),
            (b"vary", b"Origin"),
        ]


class Response(NamedTuple):
    """What a client gets."""

    status: int
    body: bytes | bytearray
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def all_headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Its headers as an answer to this request."""
        return [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
            *request.cors(),
        ]

    async def send(self, request: Request, send: Send) -> None:
        """Send the response, with a length; a long one no faster than the client reads."""
        headers = self.all_headers(request)
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if request.method == "HEAD" else self.body
        if len(body) > PIECE_BYTES:
            body = await _send_pieces(body, send)
        await send({"type": "http.response.body", "body": body})


def text(content: str) -> Response:
    """Plain text."""
    return Response(200, content.encode(), TEXT)


def json(content: object) -> Response:
    """Plain data as JSON; not for Convex values."""
    return Response(200, msgspec.json.encode(content))


def refusal(status: int, code: str, message: str) -> Response:
    """A failure outside of any function."""
    return Response(status, msgspec.json.encode({"code": code, "message": message}))


async def _send_pieces(body: bytes | bytearray, send: Send) -> bytes:
    """Send all of a long body but its last piece, which is returned."""
    with memoryview(body) as view:
        last = (len(body) - 1) // PIECE_BYTES * PIECE_BYTES
        for start in range(0, last, PIECE_BYTES):
            piece = bytes(view[start : start + PIECE_BYTES])
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        return bytes(view[last:])


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        413, "PayloadTooLarge", f"The body is larger than the maximum of {max_bytes} bytes."
    )

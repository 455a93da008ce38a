"""What an HTTP action answers.

Owns what a status, header and body may be. Never sends. One invariant: a response that could be
made can be sent.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable
from typing import Any, TypeAlias

from pyconvex.functions.documents import plain
from pyconvex.functions.headers import HeaderFields, Headers

Body: TypeAlias = bytes | str | AsyncIterable[bytes | str] | None

#: Statuses whose responses have no body.
_EMPTY = frozenset({204, 205, 304})
#: Fields that belong to one connection, or follow from the body: the server sets them.
_SERVERS = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})


class Response:
    """An HTTP response: what a handler returns.

    A body is bytes, text, or an asynchronous iterator of either, which is sent as it comes: the
    next piece is asked for when the client has taken the one before. Raises `ValueError` for a
    status, header or body that can't be sent.

    >>> Response("hello").headers["content-type"]
    'text/plain;charset=UTF-8'
    >>> Response(status=302, headers={"location": "/home"}).status
    302
    """

    def __init__(self, body: Body = None, *, status: int = 200, headers: HeaderFields = ()) -> None:
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f"A response's status is a number from 200 to 599, not {status!r}.")
        if body is not None and not isinstance(body, (bytes, bytearray, str, AsyncIterable)):
            raise TypeError(
                "A response's body is bytes, text, or an asynchronous iterator of them, not "
                f"{type(body).__name__}. For JSON: Response.json(value)."
            )
        if body and status in _EMPTY:
            raise ValueError(f"A response with status {status} has no body.")
        self.status = status
        named = Headers(headers)
        if isinstance(body, str) and "content-type" not in named:
            named = Headers([*named.pairs(), ("content-type", "text/plain;charset=UTF-8")])
        self.headers = Headers([pair for pair in named.pairs() if pair[0] not in _SERVERS])
        self.body: bytes | AsyncIterable[bytes | str] = _as_bytes(body)

    @classmethod
    def json(cls, value: Any, *, status: int = 200, headers: HeaderFields = ()) -> Response:
        """A response with this value as JSON: dictionaries, lists, texts, numbers, documents.

        >>> Response.json({"ok": True}).body
        b'{"ok":true}'
        """
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        named = Headers(headers)
        if "content-type" not in named:
            named = Headers([*named.pairs(), ("content-type", "application/json")])
        return cls(text.encode(), status=status, headers=named)

    def __repr__(self) -> str:
        size = f"{len(self.body)} bytes" if isinstance(self.body, bytes) else "a stream"
        return f"<Response {self.status}, {size}>"


def _as_bytes(body: Body) -> bytes | AsyncIterable[bytes | str]:
    match body:
        case None:
            return b""
        case str():
            return body.encode()
        case bytes() | bytearray():
            return bytes(body)
        case _:
            return body

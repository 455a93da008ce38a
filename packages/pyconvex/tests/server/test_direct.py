"""Requests that are answered without ASGI, against those that are not."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from pyconvex.http.exchange import PIECE_BYTES, Gone, Request, RequestError, Response, json, refusal
from pyconvex.server.direct import DirectProtocol
from pyconvex.server.listening import Serving, listen, protocol_for

MAX_BODY = 200_000


class App:
    """Echoes bodies at `/direct`, and at `/asgi` by the other way; counts who asked which way."""

    direct_paths = frozenset({b"/direct"})

    def __init__(self) -> None:
        self.ways: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.ways.append("asgi")
        request = Request.of(scope, receive, scope["path"])
        response = await self._answer(request)
        if response is not None:
            await response.send(request, send)

    async def respond(self, request: Request) -> Response | None:
        self.ways.append("direct")
        return await self._answer(request)

    async def _answer(self, request: Request) -> Response | None:
        try:
            body = await request.body(MAX_BODY)
        except RequestError as error:
            return refusal(error.status, error.code, error.message)
        except Gone:
            return None
        if body.startswith(b"repeat"):
            return Response(200, body[6:] * PIECE_BYTES)
        return json([request.method, request.peer, request.header(b"x-more"), body.decode()])


def test_a_release_of_uvicorn_that_is_not_known_is_served_as_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get = b"GET /direct HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    assert protocol_for(uvicorn.__version__) is DirectProtocol, "the pinned one is a known one"
    answer, ways = asked(get)
    assert ways == ["direct"]
    monkeypatch.setattr(uvicorn, "__version__", "99.1.0")
    again, ways = asked(get)
    assert ways == ["asgi"]
    assert again.split(b"\r\n\r\n")[1] == answer.split(b"\r\n\r\n")[1]


def asked(*pieces: bytes) -> tuple[bytes, list[str]]:
    """What the server sends for these pieces of a connection, and the ways that requests took."""

    async def main() -> tuple[bytes, list[str]]:
        listener = listen("127.0.0.1", 0, "--port")
        app = App()
        serving = Serving(app, listener)
        await serving.wait_listening()
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            got = await reader.read()
            writer.close()
            await serving.end()
        return got, app.ways

    return asyncio.run(main())


def request(path: str, body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


CLOSE = "Connection: close"
LARGE = b"x" * (MAX_BODY - 1)


@pytest.mark.parametrize(
    "pieces",
    [
        lambda path: [request(path, b"hello", CLOSE)],
        lambda path: [request(path, b"hello", "X-More: and more", CLOSE)],
        lambda path: [request(path, b"hello", "Origin: http://page", CLOSE)],
        lambda path: [request(path, b"", CLOSE, method="HEAD")],
        lambda path: [request(path, b"", CLOSE, method="GET")],
        lambda path: [request(path, LARGE, CLOSE)],
        lambda path: [request(path, b"", CLOSE).replace(b": 0", b": %d" % (MAX_BODY + 1))],
        lambda path: [request(path, b"repeat1", CLOSE)],
        lambda path: [request(path, b"repeatab", CLOSE)],
        lambda path: [request(path, b"hello", CLOSE)[:-2], b"lo"],
        lambda path: [request(path, b"a"), request(path, b"b"), request(path, b"c", CLOSE)],
        lambda path: [request(path, b"a") + request(path, b"b") + request(path, b"c", CLOSE)],
        lambda path: [request(path, b"a") + request(path, LARGE) + request(path, b"c", CLOSE)],
    ],
    ids=["one", "header", "origin", "head", "get", "large", "too large", "piece", "pieces",
         "split", "kept", "pipelined", "pipelined large"],
)  # fmt: skip
def test_both_ways_answer_the_same(pieces: Any) -> None:
    direct, ways = asked(*pieces("/direct"))
    by_asgi, other_ways = asked(*pieces("/asgi"))
    assert set(ways) == {"direct"}
    assert set(other_ways) == {"asgi"}
    assert undated(direct) == undated(by_asgi)


def undated(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"date: ")]


@pytest.mark.parametrize(
    "asking",
    [
        request("/direct?a=b", b"hello", CLOSE),
        request("//direct", b"hello", CLOSE),
        request("/direct", b"hello", CLOSE).replace(b"HTTP/1.1", b"HTTP/1.0"),
        request("/direct", b"hello", "Expect: 100-continue", CLOSE),
    ],
    ids=["parameters", "slashes", "old", "expects"],
)
def test_what_is_not_plain_goes_the_long_way(asking: bytes) -> None:
    answer, ways = asked(asking)
    assert ways == ["asgi"]
    assert b'["POST","127.0.0.1",null,"hello"]' in answer


def test_a_connection_stays_open_and_may_change_its_way() -> None:
    last = request("/direct", b"3", CLOSE)
    answer, ways = asked(request("/direct", b"1") + request("/asgi", b"2") + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert ways == ["direct", "asgi", "direct"]

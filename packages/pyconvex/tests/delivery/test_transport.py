"""The real HTTP transport against sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyconvex.delivery import Request, Response, Unreachable
from pyconvex.delivery.transport import HttpTransport

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def exchange(handler: Handler, *, path: str = "/x?a=1&b", **bounds: Any) -> Response:
    async def run() -> Response:
        handled = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await handler(reader, writer)
            writer.close()
            handled.set()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        transport = HttpTransport(**({"deadline_s": 5.0} | bounds))
        port = server.sockets[0].getsockname()[1]
        try:
            return await transport.send(
                Request("POST", f"http://127.0.0.1:{port}{path}", (("X-A", "1"),), b"body")
            )
        finally:
            await transport.aclose()
            await handled.wait()
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


def test_a_request_goes_out_as_it_is_and_the_response_comes_back() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        seen.append(await reader.readexactly(4))
        writer.write(
            b"HTTP/1.1 307 Elsewhere\r\nLocation: /y\r\nETag: W/1\r\nContent-Length: 2\r\n"
        )
        writer.write(b"Connection: close\r\n\r\nhi")

    response = exchange(handler)
    assert seen[0].startswith(b"POST /x?a=1&b HTTP/1.1\r\n")
    assert b"\r\nX-A: 1\r\n" in seen[0]
    assert seen[1] == b"body"
    assert (response.status, response.body) == (307, b"hi")
    assert response.headers["etag"] == "W/1"


def test_no_answer_within_the_deadline_is_unreachable() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up

    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s from http://127\.0\.0\.1:\d+$"):
        exchange(handler, deadline_s=0.2)


def test_a_trickle_is_bounded_by_the_same_deadline() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nbody")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not (reader.at_eof() or writer.is_closing()):  # ended, or reset
            writer.write(b"x")
            await asyncio.sleep(0.02)

    with pytest.raises(Unreachable):
        exchange(handler, deadline_s=0.3)


def test_an_answer_without_end_fills_no_memory() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nbody")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x" * 1000)
                await writer.drain()

    with pytest.raises(Unreachable, match="more than 5000 bytes"):
        exchange(handler, max_bytes=5000)


def test_a_lost_answer_is_unreachable() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    with pytest.raises(Unreachable):
        exchange(handler)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "nonsense", "http://", "http://[::1", "ftp://x/", "http://a b/"]
)
def test_an_address_that_leads_nowhere_is_unreachable(url: str) -> None:
    async def run() -> None:
        transport = HttpTransport(deadline_s=5.0)
        try:
            await transport.send(Request("GET", url))
        finally:
            await transport.aclose()

    with pytest.raises(Unreachable):
        asyncio.run(run())

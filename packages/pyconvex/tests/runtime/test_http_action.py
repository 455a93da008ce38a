"""One request inside an isolate: what the handler gets, and in which steps its answer leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from pyconvex import ClientDisconnected, Request, RequestTooLarge, Response, http_action
from pyconvex.functions import FunctionCallError
from pyconvex.runtime.http_actions import http_exchange
from pyconvex.runtime.http_actions.http_action import respond
from pyconvex.runtime.processes.messages import CallBack, RequestHead, ResponseHead

Handler = Callable[[Any, Request], Awaitable[Response]]


class Server:
    """Answers what an action asks, and notes it."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.asked: list[str] = []
        self.head: ResponseHead | None = None
        self.sent: list[bytes] = []
        #: Cleared, nothing is confirmed to be sent.
        self.taking = asyncio.Event()
        self.taking.set()
        self.left = asyncio.Event()
        self.refusal = ""

    async def ask(self, kind: str, args: bytes = b"") -> CallBack:
        self.asked.append(kind)
        if self.refusal and kind != http_exchange.GONE:
            return CallBack(1, None, self.refusal, None)
        match kind:
            case http_exchange.READ:
                return CallBack(1, self.pieces.pop(0) if self.pieces else b"", "", None)
            case http_exchange.HEAD:
                self.head = msgspec.msgpack.decode(args, type=ResponseHead)
            case http_exchange.WRITE:
                self.sent.append(args)
                await self.taking.wait()
            case _:
                await self.left.wait()
        return CallBack(1, b"", "", None)


class Ctx:
    function_name = "POST /x"


async def run(server: Server, handler: Any, method: str = "POST") -> None:
    head = RequestHead(method, "http://x/y", [("a", "b")], "")
    await respond(http_action(handler), Ctx(), head, server.ask)  # type: ignore[arg-type]


def test_a_whole_answer_is_one_step() -> None:
    async def handler(ctx: Any, request: Request) -> Response:
        return Response(await request.body(), status=201, headers={"x": "y"})

    async def main() -> None:
        server = Server(b"ab", b"c")
        await run(server, handler)
        assert server.asked == ["http.read", "http.read", "http.read", "http.head"]
        assert server.head == ResponseHead(201, [("x", "y")], b"abc")

    asyncio.run(main())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_requests_without_a_body_ask_for_none(method: str) -> None:
    async def handler(ctx: Any, request: Request) -> Response:
        assert (await request.body(), request.method) == (b"", method)
        return Response()

    async def main() -> None:
        server = Server(b"never")
        await run(server, handler, method)
        assert server.asked == ["http.head"]

    asyncio.run(main())


def test_a_piece_is_made_when_the_one_before_is_taken() -> None:
    made: list[int] = []
    closed: list[bool] = []

    async def handler(ctx: Any, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes | str]:
            try:
                for number in range(3):
                    made.append(number)
                    yield b"" if number == 1 else str(number)
            finally:
                closed.append(True)

        return Response(pieces())

    async def main() -> None:
        server = Server()
        server.taking.clear()
        running = asyncio.create_task(run(server, handler))
        while not server.sent:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (made, server.sent) == ([0], [b"0"]), "the client has taken nothing"
        server.taking.set()
        await running
        assert (made, server.sent, closed) == ([0, 1, 2], [b"0", b"2"], [True])
        assert server.head == ResponseHead(200, [], None)

    asyncio.run(main())


def test_a_large_piece_is_cut() -> None:
    async def handler(ctx: Any, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 600_000

        return Response(pieces())

    async def main() -> None:
        server = Server()
        await run(server, handler)
        assert [len(piece) for piece in server.sent] == [262_144, 262_144, 75_712]

    asyncio.run(main())


def test_a_client_that_leaves_stops_the_stream() -> None:
    closed: list[bool] = []

    async def handler(ctx: Any, request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"1"
                await asyncio.Event().wait()
            finally:
                closed.append(True)

        return Response(pieces())

    async def main() -> None:
        server = Server()
        running = asyncio.create_task(run(server, handler))
        while not server.sent:
            await asyncio.sleep(0)
        server.left.set()
        await running
        assert closed == [True]

    asyncio.run(main())


def test_a_client_that_has_left_is_no_error() -> None:
    async def handler(ctx: Any, request: Request) -> Response:
        return Response("late")

    async def main() -> None:
        server = Server()
        server.refusal = http_exchange.CLIENT_GONE
        await run(server, handler)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (http_exchange.CLIENT_GONE, ClientDisconnected),
        (http_exchange.TOO_LARGE, RequestTooLarge),
        ("the disk", FunctionCallError),
    ],
)
def test_a_body_that_can_not_be_read(refusal: str, error: type[Exception]) -> None:
    async def handler(ctx: Any, request: Request) -> Response:
        await request.body()
        raise AssertionError

    async def main() -> None:
        server = Server()
        server.refusal = refusal
        with pytest.raises(error):
            await run(server, handler)

    asyncio.run(main())


def test_what_is_no_piece_and_what_is_no_response() -> None:
    async def number(ctx: Any, request: Request) -> Response:
        async def pieces() -> AsyncIterator[Any]:
            yield 5

        return Response(pieces())

    async def text(ctx: Any, request: Request) -> Any:
        return "ok"

    async def main() -> None:
        with pytest.raises(FunctionCallError, match="A piece of a body is bytes or text, not 5"):
            await run(Server(), number)
        with pytest.raises(FunctionCallError, match="'POST /x' must return a Response, not 'ok'"):
            await run(Server(), text)

    asyncio.run(main())

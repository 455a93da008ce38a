"""The site over ASGI: whatever is asked, one whole answer or none, and nothing raised."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.auth import AdminKey, DeploymentAuthenticator
from pyconvex.http import SiteEndpoint
from pyconvex.runtime.calls import Failure, HostError, Outcome, Success
from pyconvex.runtime.http_actions.http_exchange import BodyTooLarge, ClientGone, Exchange, HttpCall
from pyconvex.runtime.http_actions.routes import FoundRoute
from pyconvex.runtime.processes.messages import ResponseHead


class EchoHost:
    """Answers every request whose path doesn't begin with /no with its body, in pieces."""

    answers_http = True

    def __init__(self) -> None:
        self.calls: list[HttpCall] = []

    def find_route(self, method: str, path: str) -> FoundRoute | None:
        return None if path.startswith("/no") else FoundRoute("", f"{method} {path}")

    async def run_http_action(self, request: HttpCall, exchange: Exchange) -> Outcome:
        self.calls.append(request)
        if "/host-error" in request.url:
            raise HostError(503, "ServerStopping", "The server is stopping.")
        pieces = []
        try:
            while piece := await exchange.read():
                pieces.append(piece)
            if "/early" in request.url:
                return Failure("Uncaught KeyError: 'x'\n    at f", b'{"a": 1.0}')
            if "/whole" in request.url:
                await exchange.start(ResponseHead(200, [("x", "y")], b"".join(pieces)))
                return Success(b"null")
            await exchange.start(ResponseHead(200, [], None))
            for piece in pieces:
                await exchange.write(piece)
        except (ClientGone, BodyTooLarge) as error:
            return Failure(str(error))
        return Failure("late") if "/late" in request.url else Success(b"null")


class Asked:
    """What one request came to."""

    def __init__(self, *, redact: bool = False) -> None:
        self.host = EchoHost()
        self.sent: list[Any] = []
        self.site = SiteEndpoint(
            self.host,
            DeploymentAuthenticator(AdminKey("x|goodkey")),
            redact=redact,
            new_request_id=lambda: "0123",
        )

    def ask(
        self,
        path: str,
        *,
        method: str = "POST",
        pieces: list[bytes] | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        query: bytes = b"",
        leaves: bool = False,
    ) -> Asked:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query,
            "headers": headers or [(b"host", b"shop.example")],
            "client": ("1.2.3.4", 5),
        }
        parts = pieces or [b""]
        waiting = [
            {"type": "http.request", "body": p, "more_body": leaves or n < len(parts) - 1}
            for n, p in enumerate(parts)
        ]

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            if not leaves:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            self.sent.append(event)

        async def main() -> None:
            async with asyncio.timeout(10):
                await self.site(scope, receive, send)
            assert asyncio.all_tasks() == {asyncio.current_task()} or all(
                task.cancelling() for task in asyncio.all_tasks() - {asyncio.current_task()}
            )

        asyncio.run(main())
        return self

    @property
    def status(self) -> int:
        assert [e["type"] for e in self.sent].count("http.response.start") == 1
        return int(self.sent[0]["status"])

    @property
    def whole(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get(
            "more_body", self.sent[-1]["type"][-5:] == "start"
        )

    @property
    def body(self) -> bytes:
        return b"".join(e.get("body", b"") for e in self.sent)


def test_pieces_come_back() -> None:
    asked = Asked().ask("/echo", pieces=[b"ab", b"", b"c"])
    assert (asked.status, asked.body, asked.whole) == (200, b"abc", True)
    assert asked.host.calls[0].client == "1.2.3.4"


def test_failures_before_and_after_the_head() -> None:
    asked = Asked().ask("/early")
    assert (asked.status, asked.whole) == (500, True)
    assert asked.body == (
        b'{"code":"[Request ID: 0123] Server Error: Uncaught KeyError: \'x\'",'
        b'"trace":"Uncaught KeyError: \'x\'\\n    at f","data":{"a":1.0}}'
    )
    asked = Asked(redact=True).ask("/early")
    assert asked.body == b'{"code":"[Request ID: 0123] Server Error","data":{"a":1.0}}'
    asked = Asked().ask("/late", pieces=[b"ab"])
    assert (asked.status, asked.body, asked.whole) == (200, b"ab", False)
    assert Asked().ask("/host-error").status == 503


def test_a_client_that_leaves_is_not_answered() -> None:
    assert Asked().ask("/echo", pieces=[b"ab"], leaves=True).sent == []
    assert Asked().ask("/echo", method="GET", pieces=[b"ab"], leaves=True).sent == []


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/a/../b", "/b"),
        ("/a/./b/.", "/a/b/"),
        ("/../..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a//b/", "/a//b/"),
        ("/a%2Fb", "/a%2Fb"),
        ("/..a/...", "/..a/..."),
        ("", "/"),
        ("*", "/"),
    ],
)
def test_paths_are_those_of_urls(path: str, seen: str) -> None:
    asked = Asked().ask(path, query=b"q=1")
    assert asked.host.calls[0].url == f"http://shop.example{seen}?q=1"


def test_websockets_are_closed() -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def main() -> None:
        await Asked().site({"type": "websocket"}, send, send)  # type: ignore[arg-type]

    asyncio.run(main())
    assert sent == [{"type": "websocket.close"}]


LATIN = st.binary(max_size=12).map(lambda b: b.decode("latin-1"))
PATHS = st.lists(
    LATIN | st.sampled_from(["..", ".", "%2e", "no", "whole", "early", "late"]), max_size=5
)
NAMES = st.sampled_from(
    [b"host", b"authorization", b"content-length", b"x-forwarded-proto", b"forwarded", b"x"]
)
VALUES = st.binary(max_size=20) | st.sampled_from(
    [
        b"Bearer x",
        b"Convex x|goodkey",
        b"Convex x|bad",
        b"12",
        b"99999999999",
        b"https",
        b"proto=https",
    ]
)


@settings(max_examples=100, deadline=None)
@given(
    path=PATHS.map(lambda parts: "/" + "/".join(parts)),
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "TRACE", "get"]),
    pieces=st.lists(st.binary(max_size=50), max_size=4),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    query=st.binary(max_size=20),
    leaves=st.booleans(),
    redact=st.booleans(),
)
def test_whatever_is_asked(
    path: str,
    method: str,
    pieces: list[bytes],
    headers: list[tuple[bytes, bytes]],
    query: bytes,
    leaves: bool,
    redact: bool,
) -> None:
    asked = Asked(redact=redact).ask(
        path, method=method, pieces=pieces, headers=headers, query=query, leaves=leaves
    )
    if not asked.sent:
        assert leaves
        return
    assert asked.status in {200, 404, 413, 500}
    assert asked.whole or "/late" in path or leaves
    if method == "HEAD":
        assert asked.body == b"" or asked.status == 200
    for call in asked.host.calls:
        seen = call.url.partition("://")[2].partition("?")[0]
        assert not {".", "..", "%2e"} & set(seen.split("/")[1:])
        assert call.url.startswith(("http://", "https://"))
        urlsplit(call.url.partition("?")[2])

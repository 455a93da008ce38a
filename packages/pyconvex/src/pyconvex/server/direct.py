"""Requests for known routes, from the parser to the app and back in one step.

Owns the way around ASGI, which costs as much as parsing does: a scope, a message for each half of
each way, and a write for each half of the response. Never knows what a route does. One invariant: a
client can't tell which way its request took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from pyconvex.http.exchange import PIECE_BYTES, Request, Response


class Responder(Protocol):
    """An app that answers some requests with a whole response."""

    @property
    def direct_paths(self) -> Container[bytes]:
        """The URLs of requests for `respond`, as they stand in the request."""

    async def respond(self, request: Request) -> Response | None:
        """What to answer; None when the client has left. Never raises."""


class DirectProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which asks a `Responder` without ASGI where that will do."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        app = self.config.app
        self._direct_paths: Container[bytes] = getattr(app, "direct_paths", ())

    def on_message_begin(self) -> None:
        """A request begins; the scope is made once it is known to be needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """It is known what is asked."""
        parser = self.parser
        if self._is_direct():
            self._begin(parser.get_method().decode("ascii"), parser.should_keep_alive())
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers  # the scope has this list
        super().on_headers_complete()

    def _is_direct(self) -> bool:
        plain = self.url in self._direct_paths and not self.expect_100_continue
        return (
            plain and self.parser.get_http_version() == "1.1" and not self.parser.should_upgrade()
        )

    def _begin(self, method: str, keep_alive: bool) -> None:
        before = self.cycle
        self.cycle = _DirectCycle(self, method, keep_alive=keep_alive)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))


class _DirectCycle(RequestResponseCycle):
    """One request and its response."""

    def __init__(self, protocol: DirectProtocol, method: str, *, keep_alive: bool) -> None:
        super().__init__(
            scope=cast(Any, {"method": method}),
            transport=protocol.transport,
            flow=protocol.flow,
            logger=protocol.logger,
            access_logger=protocol.access_logger,
            access_log=False,
            default_headers=protocol.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=protocol.on_response_complete,
        )
        self._responder = cast(Responder, protocol.config.app)
        self._request = Request(
            method,
            protocol.client[0] if protocol.client is not None else "",
            protocol.url.decode("ascii"),
            protocol.headers,
            cast(Any, self.receive),
        )

    async def run_asgi(self, app: Any) -> None:
        """Answer; `app` is what would get the request as ASGI."""
        request = self._request
        try:
            response = await self._responder.respond(request)
            if response is None or self.disconnected:
                return
            headers = response.all_headers(request)
            if self.flow.write_paused or len(response.body) > PIECE_BYTES or len(headers) > 2:
                await response.send(request, cast(Any, self.send))
            else:
                self._write(response, headers)
        finally:
            self.on_response = lambda: None

    def _write(self, response: Response, headers: list[tuple[bytes, bytes]]) -> None:
        """Write all at once: a packet less for both ends."""
        parts: list[bytes | bytearray] = [STATUS_LINE[response.status]]
        for name, value in (*self.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        if self.scope["method"] != "HEAD":
            parts.append(response.body)
        self.transport.write(b"".join(parts))
        self.response_started = self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

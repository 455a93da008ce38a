"""The site: where a deployment's HTTP actions answer.

Owns the way from an ASGI request to an HTTP action and back: URL, caller, bodies piece by piece,
errors. Never adds CORS headers; those are the app's to send. One invariant: a response that could
not be sent as a whole is seen to be cut off.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.types import Receive, Scope, Send

from pyconvex.http.exchange import JSON, TEXT
from pyconvex.identity import ANONYMOUS, AuthenticationError, Authenticator, Identity
from pyconvex.runtime.calls import Failure, HostError
from pyconvex.runtime.http_actions.http_exchange import (
    MAX_BODY_BYTES,
    BodyTooLarge,
    ClientGone,
    HttpCall,
    HttpHost,
)
from pyconvex.runtime.processes.messages import ResponseHead
from pyconvex.values import codec

#: Where HTTP actions answer on the port of the API.
SITE_PREFIX = "/http"
#: Methods whose requests have no body for the action.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Statuses without a body, whose length is not told either.
_EMPTY = frozenset({204, 304})
#: What clients of an app without any HTTP action are told.
NOT_ENABLED = "This Convex deployment does not have HTTP actions enabled."

_log = logging.getLogger(__name__)


class SiteEndpoint:
    """The ASGI application of the site: serve it at the root of an origin of its own."""

    def __init__(
        self,
        host: HttpHost,
        authenticator: Authenticator,
        *,
        redact: bool = False,
        new_request_id: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._host = host
        self._authenticator = authenticator
        self._redact = redact
        self._new_request_id = new_request_id
        self._open: set[_Exchange] = set()
        self._ending = False

    def end_streams(self) -> None:
        """Have responses that stream end where they are, as the server is stopping.

        They would otherwise keep it from stopping for as long as it may wait.
        """
        self._ending = True
        for exchange in self._open:
            exchange.end_stream()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        exchange = _Exchange(scope["method"], receive, send)
        self._open.add(exchange)
        if self._ending:
            exchange.end_stream()
        try:
            await self._answer(scope, exchange)
        except ClientGone:
            pass
        except HostError as error:
            body = msgspec.json.encode({"code": error.code, "message": error.message})
            await exchange.refuse(error.status, body)
        finally:
            self._open.discard(exchange)
            exchange.close()

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        path = _path(scope)
        route = self._host.find_route(scope["method"], path)
        if route is None:
            known = self._host.answers_http
            text = no_route(path) if known else NOT_ENABLED
            await exchange.refuse(404, text.encode(), TEXT)
            return
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
        named = dict(headers)
        length = named.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            await exchange.refuse(413, _TOO_LARGE)
            return
        identity, refused = await self._caller(named.get("authorization"))
        request_id = self._new_request_id()
        call = HttpCall(
            route=route,
            method=scope["method"],
            url=_url(scope, named, path),
            headers=headers,
            identity=identity,
            refused=refused,
            request_id=request_id,
            client=(scope.get("client") or ("",))[0],
        )
        if scope["method"] in _BODILESS:
            await exchange.pass_over_body()
        outcome = await self._host.run_http_action(call, exchange)
        if not isinstance(outcome, Failure):
            await exchange.finish()
        elif exchange.started:
            # Left unfinished, which the server makes the client see.
            _log.warning("%s failed in the middle of its response: %s", route.name, outcome.message)
        elif exchange.too_large:
            await exchange.refuse(413, _TOO_LARGE)
        else:
            await exchange.refuse(500, _error(outcome, request_id, redact=self._redact))

    async def _caller(self, authorization: str | None) -> tuple[Identity, str]:
        """Who calls, and why the credential isn't valid if it is not: it may be for the app."""
        try:
            return (await self._authenticator.header(authorization)).identity, ""
        except AuthenticationError as error:
            return ANONYMOUS, error.message


class _Exchange:
    """One request and its response (`pyconvex.runtime.http_actions.http_exchange.Exchange`)."""

    def __init__(self, method: str, receive: Receive, send: Send) -> None:
        self.started = False
        self.too_large = False
        self._method = method
        self._receive = receive
        self._send = send
        self._reading = asyncio.Lock()
        self._read_bytes = 0
        self._all_read = False
        self._complete = False
        self._left = False
        #: Set when the client has left, or nothing more of a stream is to be sent.
        self._over = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        async with self._reading:
            while True:
                if self._left:
                    raise ClientGone
                if self.too_large:
                    raise BodyTooLarge
                if self._all_read:
                    return b""
                if piece := await self._next():
                    return piece

    async def start(self, head: ResponseHead) -> None:
        if self._left:
            raise ClientGone
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in head.headers]
        if head.body is not None and head.status not in _EMPTY:
            headers.append((b"content-length", b"%d" % len(head.body)))
        self.started = True
        begin = {"type": "http.response.start", "status": head.status, "headers": headers}
        await self._send(begin)
        if head.body is not None:
            await self._end(b"" if self._method == "HEAD" else head.body)

    async def write(self, piece: bytes) -> None:
        if self._left:
            raise ClientGone
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def gone(self) -> None:
        await self._over.wait()

    async def pass_over_body(self) -> None:
        """Read what no action sees; raises `ClientGone`."""
        while not self._all_read and not self.too_large:
            await self._next()

    async def refuse(self, status: int, body: bytes, content_type: bytes = JSON) -> None:
        """Answer instead of the action; nothing once an answer has begun."""
        if not self.started and not self._left:
            headers = [("content-type", content_type.decode())]
            await self.start(ResponseHead(status, headers, body))

    async def finish(self) -> None:
        """The response is whole."""
        if not self._complete and not self._left:
            await self._end(b"")

    def end_stream(self) -> None:
        """Have what streams end, as if the client had left; what it got is a whole response."""
        self._over.set()

    def close(self) -> None:
        """Nothing more comes of this request."""
        self._over.set()
        if self._watching is not None:
            self._watching.cancel()

    async def _end(self, body: bytes) -> None:
        self._complete = True
        await self._send({"type": "http.response.body", "body": body})

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._leave()
            raise ClientGone
        piece: bytes = message.get("body", b"")
        self._read_bytes += len(piece)
        if self._read_bytes > MAX_BODY_BYTES:
            self.too_large = True
        elif not message.get("more_body"):
            self._all_read = True
            # From here on the only thing that can be received is that the client left.
            self._watching = asyncio.create_task(self._watch())
        return b"" if self.too_large else piece

    async def _watch(self) -> None:
        await self._receive()
        self._leave()

    def _leave(self) -> None:
        self._left = True
        self._over.set()


def no_route(path: str) -> str:
    """What a client is told where no route answers."""
    return f"No HttpAction routed for {path}"


def below_site(scope: Scope) -> Scope:
    """A request to the API's port, below `SITE_PREFIX`, as one to the site."""
    inner: MutableMapping[str, Any] = dict(scope)
    inner["path"] = scope["path"].removeprefix(SITE_PREFIX) or "/"
    if raw := scope.get("raw_path"):
        inner["raw_path"] = raw.removeprefix(SITE_PREFIX.encode()) or b"/"
    return inner


def _path(scope: Scope) -> str:
    """The path as it was sent, percent-encoded, with `.` and `..` taken out as URLs have it."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    kept: list[str] = []
    parts = raw.decode("latin-1").split("/")
    for number, part in enumerate(parts[1:], 1):
        dots = part.lower().replace("%2e", ".")
        last = number == len(parts) - 1
        if dots == "..":
            del kept[-1:]
        if dots not in (".", ".."):
            kept.append(part)
        elif last:
            kept.append("")
    return "/" + "/".join(kept)


def _url(scope: Scope, headers: dict[str, str], path: str) -> str:
    scheme = _forwarded_scheme(headers)
    host = headers.get("host") or ":".join(map(str, scope.get("server") or ("localhost",)))
    query = scope["query_string"].decode("latin-1")
    return f"{scheme}://{host}{path}{'?' + query if query else ''}"


def _forwarded_scheme(headers: dict[str, str]) -> str:
    """What the client used, as the proxy before us says; without one, http."""
    told = headers.get("x-forwarded-proto", "")
    if not told:
        for pair in headers.get("forwarded", "").split(",")[0].split(";"):
            name, _, value = pair.partition("=")
            if name.strip().lower() == "proto":
                told = value.strip().strip('"')
    return "https" if told.split(",")[0].strip().lower() == "https" else "http"


def _error(failure: Failure, request_id: str, *, redact: bool) -> bytes:
    """What a client reads of an action that failed before it answered."""
    told: dict[str, Any] = {"code": f"[Request ID: {request_id}] Server Error"}
    if not redact:
        told["code"] += f": {failure.message.partition(chr(10))[0]}"
        told["trace"] = failure.message
    if failure.data is not None:
        told["data"] = msgspec.Raw(codec.encode_as(codec.decode(failure.data), "json"))
    return msgspec.json.encode(told)


_TOO_LARGE = msgspec.json.encode(
    {
        "code": "RequestTooLarge",
        "message": "The request's body is larger than the maximum of 20 MiB for HTTP actions.",
    }
)

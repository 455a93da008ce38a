"""One request to an HTTP action, inside an action isolate.

Owns the request that the handler reads and the sending of what it returns. Never sees the
connection: pieces of bodies are calls to the server like all others. One invariant: of an error
before the response's head the client hears; one after it ends the response where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from contextlib import suppress
from typing import Protocol

import msgspec

from pyconvex.functions import (
    ClientDisconnected,
    FunctionCallError,
    Headers,
    HttpAction,
    HttpActionCtx,
    Request,
    RequestTooLarge,
    Response,
)
from pyconvex.runtime.http_actions import http_exchange
from pyconvex.runtime.http_actions.http_exchange import CLIENT_GONE, MAX_BODY_BYTES, TOO_LARGE
from pyconvex.runtime.processes import messages

#: Methods whose requests have no body, as in Convex.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
#: A piece of a response's body; larger ones are cut, so that nothing waits behind them for long.
_PIECE_BYTES = 256 * 1024

_TOO_LARGE = "HttpResponseTooLarge: HTTP actions support responses up to 20 MiB"


class Ask(Protocol):
    """Asks something of the server and waits for the answer."""

    def __call__(self, kind: str, args: bytes = b"") -> Awaitable[messages.CallBack]: ...


async def respond(
    action: HttpAction, ctx: HttpActionCtx, head: messages.RequestHead, ask: Ask
) -> None:
    """Run the handler and send what it returns; raises what it raises."""
    body = b"" if head.method in _BODILESS else _pieces(ask)
    headers = Headers.received(head.headers)
    request = Request(head.method, head.url, headers=headers, body=body)
    response = await action.handler(ctx, request)
    if not isinstance(response, Response):
        raise FunctionCallError(
            f"HTTP action '{ctx.function_name}' must return a Response, not {response!r:.100}."
        )
    whole = response.body if isinstance(response.body, bytes) else None
    if whole is not None and len(whole) > MAX_BODY_BYTES:
        raise FunctionCallError(_TOO_LARGE)
    started = messages.ResponseHead(response.status, response.headers.pairs(), whole)
    with suppress(ClientDisconnected):  # there is nobody left to tell
        _checked(await ask(http_exchange.HEAD, msgspec.msgpack.encode(started)))
        if not isinstance(response.body, bytes):
            await _stream(response.body, ask, sent=head.method != "HEAD")


async def _pieces(ask: Ask) -> AsyncIterator[bytes]:
    while piece := _checked(await ask(http_exchange.READ)):
        yield piece


async def _stream(body: AsyncIterable[bytes | str], ask: Ask, *, sent: bool) -> None:
    """Send a body until its end, or until the client has left; close what gives it either way."""
    sending = asyncio.ensure_future(_send(body, ask) if sent else _nothing())
    gone = asyncio.ensure_future(ask(http_exchange.GONE))
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, gone):
            task.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)
        if (close := getattr(body, "aclose", None)) is not None:
            await close()


async def _send(body: AsyncIterable[bytes | str], ask: Ask) -> None:
    size = 0
    async for part in body:
        if not isinstance(part, (bytes, bytearray, str)):
            raise FunctionCallError(f"A piece of a body is bytes or text, not {part!r:.100}.")
        whole = part.encode() if isinstance(part, str) else bytes(part)
        size += len(whole)
        if size > MAX_BODY_BYTES:
            raise FunctionCallError(_TOO_LARGE)
        for start in range(0, len(whole), _PIECE_BYTES):
            _checked(await ask(http_exchange.WRITE, whole[start : start + _PIECE_BYTES]))


async def _nothing() -> None:
    """A HEAD request's body."""


def _checked(reply: messages.CallBack) -> bytes:
    if reply.value is not None:
        return reply.value
    match reply.error:
        case str(error) if error == CLIENT_GONE:
            raise ClientDisconnected("The client left before its request was done.")
        case str(error) if error == TOO_LARGE:
            raise RequestTooLarge("The request's body is larger than the maximum of 20 MiB.")
    raise FunctionCallError(reply.error)

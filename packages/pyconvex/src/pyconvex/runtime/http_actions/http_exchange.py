"""What an HTTP action and the edge say to each other while it runs.

Owns the edge's side as a protocol, the names of the calls that an action makes for it, and their
answers. Never routes and never parses HTTP. One invariant: a piece of a body is asked for, or its
sending confirmed, before the next moves, so neither side gets ahead of the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from pyconvex.identity import Identity
from pyconvex.runtime.calls import Outcome
from pyconvex.runtime.http_actions.routes import FoundRoute
from pyconvex.runtime.processes import messages
from pyconvex.runtime.processes.messages import ResponseHead

#: Kinds of `CallOut`: the next piece of the request's body; the response's head; a piece of its
#: body; and one that is answered when the client has left.
READ, HEAD, WRITE, GONE = "http.read", "http.head", "http.write", "http.gone"
KINDS = frozenset({READ, HEAD, WRITE, GONE})

#: Bytes of a request's and of a response's body (Convex's limit).
MAX_BODY_BYTES = 20 * 1024 * 1024

#: Answers that are no success: the client has left; its body is over the limit.
CLIENT_GONE, TOO_LARGE = "ClientDisconnected", "RequestTooLarge"


class HttpCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an HTTP action, for whom, and where it goes."""

    route: FoundRoute
    method: str
    url: str
    headers: list[tuple[str, str]]
    identity: Identity
    #: Why the credential that came with it is not valid; "" when it is, or there is none.
    refused: str
    request_id: str
    #: The address that it came from, which shares a queue when actions have to wait.
    client: str = ""


class ClientGone(Exception):
    """The client has left."""


class BodyTooLarge(Exception):
    """The request's body is over `MAX_BODY_BYTES`."""


class Exchange(Protocol):
    """The edge's side of one request."""

    async def read(self) -> bytes:
        """The next piece of the request's body; b"" at its end. Raises `ClientGone` and
        `BodyTooLarge`.
        """

    async def start(self, head: ResponseHead) -> None:
        """Send the response's head; returns when there is room for more."""

    async def write(self, piece: bytes) -> None:
        """Send a piece of the response's body; returns when there is room for more."""

    async def gone(self) -> None:
        """Return when the client has left, or a stream shall end for another reason."""


class HttpHost(Protocol):
    """What runs HTTP actions."""

    @property
    def answers_http(self) -> bool:
        """Whether the app in force has HTTP actions."""

    def find_route(self, method: str, path: str) -> FoundRoute | None:
        """The HTTP action that answers this request, if one does; HEAD is answered as GET."""

    async def run_http_action(self, request: HttpCall, exchange: Exchange) -> Outcome:
        """Let an HTTP action answer a request, once; what it answers goes through `exchange`.

        A `Failure` that comes before the head leaves the answer to the caller. Raises `HostError`.
        """


async def answer(exchange: Exchange, call: messages.CallOut) -> messages.CallBack:
    """Carry out what an HTTP action asks of the edge."""
    try:
        piece = await _steps[call.kind](exchange, call)
    except ClientGone:
        return messages.CallBack(call.call_id, None, CLIENT_GONE, None)
    except BodyTooLarge:
        return messages.CallBack(call.call_id, None, TOO_LARGE, None)
    return messages.CallBack(call.call_id, piece, "", None)


def status_of(call: messages.CallOut) -> int:
    """The status in a response's head."""
    return msgspec.msgpack.decode(call.args, type=ResponseHead).status


async def _read(exchange: Exchange, call: messages.CallOut) -> bytes:
    return await exchange.read()


async def _start(exchange: Exchange, call: messages.CallOut) -> bytes:
    await exchange.start(msgspec.msgpack.decode(call.args, type=ResponseHead))
    return b""


async def _write(exchange: Exchange, call: messages.CallOut) -> bytes:
    await exchange.write(call.args)
    return b""


async def _gone(exchange: Exchange, call: messages.CallOut) -> bytes:
    await exchange.gone()
    return b""


_steps: dict[str, Callable[[Exchange, messages.CallOut], Awaitable[bytes]]] = {
    READ: _read,
    HEAD: _start,
    WRITE: _write,
    GONE: _gone,
}

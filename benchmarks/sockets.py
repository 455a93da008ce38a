"""Many clients of the sync protocol in one process, each a few hundred bytes of state.

Owns the WebSocket handshake, the frames and the time at which each Transition arrived. Never
decodes more of it than its timestamp and that it carries results. One invariant: a server that
closes a socket or sends anything else than expected ends the run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

_KEY = base64.b64encode(bytes(16)).decode()
_SESSION = "00000000-0000-4000-8000-{:012x}"


class SyncClient(asyncio.Protocol):
    """One connection; `on_results` is called at every Transition that carries results.

    It gets the client, the number of results, and the commit's timestamp and the time of arrival,
    both in nanoseconds since 1970.
    """

    def __init__(
        self, number: int, on_results: Callable[[SyncClient, int, int, int], None]
    ) -> None:
        self.number = number
        self._on_results = on_results
        self._buffer = b""
        self._open = False
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(
            b"GET /api/sync HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + _KEY.encode()
            + b"\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"the server refused a socket: {head[:200]!r}")
            self._open, self._buffer = True, rest
            self.say(type="Connect", sessionId=_SESSION.format(self.number), connectionCount=0)
            self.opened.set_result(None)
        while (payload := self._frame()) is not None:
            self._received(payload, now)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"the server closed a socket: {exc}"))

    def subscribe(self, queries: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Follow these queries; call once."""
        added = [
            {"type": "Add", "queryId": number, "udfPath": path, "args": [args]}
            for number, (path, args) in enumerate(queries)
        ]
        self.say(type="ModifyQuerySet", baseVersion=0, newVersion=1, modifications=added)

    def say(self, **message: Any) -> None:
        """Send one message, masked with zeros, which leave it as it is."""
        assert self._transport is not None
        body = json.dumps(message).encode()
        size = len(body)
        if size < 126:
            head = bytes((0x81, 0x80 | size))
        elif size < 65536:
            head = bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x81, 0x80 | 127)) + size.to_bytes(8, "big")
        self._transport.write(head + bytes(4) + body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _frame(self) -> bytes | None:
        """The next whole frame's payload; servers send none in pieces or masked."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1], 2
        if size == 126:
            size, at = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < at + size:
            return None
        self._buffer = buffer[at + size :]
        if buffer[0] == 0x89:  # a ping of the WebSocket's own
            assert self._transport is not None
            self._transport.write(bytes((0x8A, 0x80 | size)) + bytes(4) + buffer[at : at + size])
            return b""
        return buffer[at : at + size]

    def _received(self, payload: bytes, now: int) -> None:
        if b'"FatalError"' in payload or b'"QueryFailed"' in payload:
            raise SystemExit(f"the server said {payload[:600]!r}")
        results = payload.count(b'"QueryUpdated"')
        if results:
            ts = json.loads(payload)["endVersion"]["ts"]
            committed = int.from_bytes(base64.b64decode(ts), "little")
            self._on_results(self, results, committed, now)


async def connect_all(
    port: int, count: int, on_results: Callable[[SyncClient, int, int, int], None]
) -> list[SyncClient]:
    """So many clients, connected."""
    loop = asyncio.get_running_loop()
    clients: list[SyncClient] = []
    for number in range(count):
        _, client = await loop.create_connection(
            partial(SyncClient, number, on_results),
            "127.0.0.1",
            port,
        )
        clients.append(client)
        await client.opened
    return clients

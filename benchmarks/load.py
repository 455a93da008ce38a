"""A load generator: keep-alive HTTP/1.1 connections, each with one request in flight.

Owns bytes on sockets and their timing. Never builds JSON while it measures: a request is bytes that
were made before. Invariant: an answer counts only if its status is 200 and its body holds what the
subject promised; every other one is an error, and errors end the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

#: The last request of a run may take this long before the run is given up.
ANSWER_WITHIN_S = 30.0


class WrongAnswer(Exception):
    """A server answered something else than the benchmark asked for."""


@dataclass(frozen=True)
class Load:
    """How hard and how long to ask."""

    connections: int
    seconds: float
    warmup_s: float = 1.0


@dataclass(frozen=True)
class Measured:
    """What the answers in the measured time say."""

    requests: int
    seconds: float
    latencies_ms: Sequence[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in ms that `share` of the answers stayed within."""
        ranked = sorted(self.latencies_ms)
        return ranked[min(len(ranked) - 1, int(len(ranked) * share))]


def request(method: str, path: str, host: str, body: bytes | None = None) -> bytes:
    """One request's bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


async def measure(
    port: int, load: Load, next_request: Callable[[], bytes], promised: bytes
) -> Measured:
    """Ask 127.0.0.1:`port` for warm-up and measured time, and say how it answered."""
    loop = asyncio.get_running_loop()
    run = _Run(next_request, promised, time.perf_counter() + load.warmup_s)
    run.until = run.since + load.seconds
    connections = [
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", port)
        for _ in range(load.connections)
    ]
    try:
        done = asyncio.gather(*(protocol.finished for _, protocol in connections))
        await asyncio.wait_for(done, load.warmup_s + load.seconds + ANSWER_WITHIN_S)
    finally:
        for transport, _ in connections:
            transport.abort()
    return Measured(len(run.latencies_ms), load.seconds, run.latencies_ms)


@dataclass
class _Run:
    next_request: Callable[[], bytes]
    promised: bytes
    since: float
    until: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """Sends a request as soon as the answer to the last one is whole."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from its own
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        size = message_size(self._buffer)
        if size is None or len(self._buffer) < size:
            return
        answer, self._buffer = self._buffer[:size], self._buffer[size:]
        self._count(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(WrongAnswer(f"the server closed a connection: {exc}"))

    def _count(self, answer: bytes) -> None:
        now = time.perf_counter()
        if not answer.startswith(b"HTTP/1.1 200") or self._run.promised not in answer:
            if not self.finished.done():
                self.finished.set_exception(WrongAnswer(answer[:600].decode(errors="replace")))
            return
        if now >= self._run.until:
            if not self.finished.done():
                self.finished.set_result(None)
            return
        if self._sent_at >= self._run.since:
            self._run.latencies_ms.append((now - self._sent_at) * 1000)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.next_request())


def message_size(buffer: bytes) -> int | None:
    """Bytes of the whole message that `buffer` begins with, or None while its head is not whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = buffer[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise WrongAnswer(f"a message without content-length: {buffer[:200]!r}")
    line_end = head.find(b"\r\n", at)
    length = head[at + 15 : line_end if line_end >= 0 else end]
    return end + 4 + int(length)

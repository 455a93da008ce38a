"""Framed messages over Unix sockets.

Owns the length prefix and both ends' reading of it: blocking (isolates, template) and on an event
loop (server, action isolates). Never looks into a frame. One invariant: a frame is delivered whole
or not at all; a peer that is gone is an end, not an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import cast

_LENGTH = struct.Struct("<I")

#: Larger than any argument, result or transaction allowed (16 MiB each) with room for framing.
MAX_FRAME_BYTES = 96 * 1024 * 1024


#: What one read from a socket takes at most; the buffer for it is made anew each time.
RECEIVE_BYTES = 64 * 1024


class FrameTooLargeError(Exception):
    """A peer announced a frame over the limit; the connection can't be used any more."""


def frame(body: bytes) -> bytes:
    """`body` with its length in front."""
    return _LENGTH.pack(len(body)) + body


class FrameBuffer:
    """Turns received bytes into frames, whatever pieces they come in.

    >>> buffer = FrameBuffer()
    >>> list(buffer.feed(frame(b"one") + frame(b"two")[:5]))
    [b'one']
    >>> list(buffer.feed(frame(b"two")[5:]))
    [b'two']
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take received bytes; yield each frame that is now complete."""
        if not self._pending and _is_one_frame(data):
            yield data[_LENGTH.size :]
            return
        self._pending += data
        start = 0
        try:
            while len(self._pending) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._pending, start)
                if length > MAX_FRAME_BYTES:
                    raise FrameTooLargeError(f"frame of {length} bytes")
                end = start + _LENGTH.size + length
                if len(self._pending) < end:
                    break
                body = bytes(self._pending[start + _LENGTH.size : end])
                start = end  # before the frame is out: it must not come twice if its reader raises
                yield body
        finally:
            del self._pending[:start]


def _is_one_frame(data: bytes) -> bool:
    """Whether this is a whole frame and nothing else, as almost always."""
    if len(data) < _LENGTH.size:
        return False
    (length,) = _LENGTH.unpack_from(data)
    return bool(length == len(data) - _LENGTH.size)


class BlockingChannel:
    """The isolate's end: one frame at a time, waiting for it."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = FrameBuffer()
        self._frames: list[bytes] = []

    @property
    def pending(self) -> bool:
        """Whether `receive` has a frame already: then the socket need not be readable."""
        return bool(self._frames)

    def receive(self) -> bytes | None:
        """The next frame, or None when the peer is gone."""
        while not self._frames:
            try:
                data = self._socket.recv(RECEIVE_BYTES)
            except ConnectionError:  # it went while something was on its way
                return None
            if not data:
                return None
            self._frames.extend(self._buffer.feed(data))
        return self._frames.pop(0)

    def send(self, body: bytes) -> None:
        """Send a frame; waits while the peer doesn't read. Dropped when the peer is gone."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(frame(body))


class LoopChannel(asyncio.Protocol):
    """An event loop's end: calls `on_frame` for each frame and `on_closed` once."""

    def __init__(self, on_frame: Callable[[bytes], None], on_closed: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._buffer = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._sending = False
        #: Frames that leave together at the end of the event loop's turn.
        self._soon: list[bytes] = []

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        on_frame: Callable[[bytes], None],
        on_closed: Callable[[], None],
    ) -> LoopChannel:
        """Take over a connected socket."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_connection(lambda: cls(on_frame, on_closed), sock=sock)
        channel._socket = sock
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, no check: uvloop's transports don't inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for body in self._buffer.feed(data):
            self._on_frame(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._soon.clear()
        self._on_closed()

    def send(self, body: bytes) -> None:
        """Send a frame; dropped when the peer is gone, which `on_closed` has told or will tell."""
        if self._transport is not None:
            if self._soon:
                self._soon.append(frame(body))
                self._flush()
                return
            self._sending = True
            self._transport.write(frame(body))
            self._sending = False

    def send_soon(self, body: bytes) -> None:
        """As `send`, with what others want sent in this turn of the loop: for what need not begin
        at once.
        """
        if self._transport is not None:
            if not self._soon:
                asyncio.get_running_loop().call_soon(self._flush)
            self._soon.append(frame(body))

    def _flush(self) -> None:
        if self._transport is not None and self._soon:
            frames, self._soon = self._soon, []
            self._sending = True
            self._transport.write(b"".join(frames))
            self._sending = False

    def send_now(self, body: bytes) -> None:
        """Send a small frame from a signal handler, while the loop is blocked; dropped if others
        are on their way.
        """
        if self._transport is None or self._socket is None or self._sending:
            return
        if self._transport.get_write_buffer_size() == 0:
            with contextlib.suppress(OSError):
                self._socket.send(frame(body))  # small ones are taken whole or not at all

    @property
    def is_drained(self) -> bool:
        """Whether nothing waits in this process: what was sent arrives, also if it dies now."""
        return self._transport is None or self._transport.get_write_buffer_size() == 0

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

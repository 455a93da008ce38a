"""The server's side of the export process: start it, ask it, start it again.

Owns the process, the socket, and the turns of those who ask. Never reads the data folder. One
invariant: nothing is handed out that was read at a timestamp which is not yet durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from pyconvex.export.messages import (
    Answer,
    Configure,
    ExportRequest,
    Head,
    Request,
    decode_head,
    encode,
)
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.processes.beside import ChildProcess, Spawn, spawn
from pyconvex.runtime.processes.channel import frame

spawn_exports: Spawn = partial(spawn, "pyconvex.export.process")

#: Requests that wait for their turn or are answered. More are told to come back.
MAX_REQUESTS = 32
#: An answer takes at most a second or two; a process that says nothing for so long hangs.
SILENCE_S = 120.0
#: A process that nobody has asked anything for so long ends; the next request starts another one.
IDLE_S = 300.0
#: A process may have been killed since its last answer: then one more is tried.
ATTEMPTS = 2

_LENGTH = struct.Struct("<I")


class Exporter:
    """Gets answers from an export process, which begins with the first request.

    `secret` gives what cursors are sealed with, `wait_durable` returns once everything up to a
    timestamp survives a power cut. `close` ends the process.
    """

    def __init__(
        self,
        database: Path,
        *,
        secret: Callable[[], Awaitable[bytes]],
        wait_durable: Callable[[int], Awaitable[None]],
        spawn: Spawn = spawn_exports,
        silence_s: float = SILENCE_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self._database = database
        self._secret = secret
        self._wait_durable = wait_durable
        self._spawn = spawn
        self._silence_s = silence_s
        self._idle_s = idle_s
        self._idle: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._requests: set[asyncio.Task[Answer]] = set()
        #: None until the first request, and again after the process has ended.
        self._child: ChildProcess | None = None
        self._socket: socket.socket | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return None if self._child is None else self._child.pid

    async def answer(self, request: ExportRequest) -> Answer:
        """The answer to a request. Raises `HostError`: what the request was refused with, or 503.

        A caller that leaves does not disturb the process, which ends what it has begun.
        """
        if len(self._requests) >= MAX_REQUESTS:
            raise HostError(
                503,
                "TooManyConcurrentRequests",
                "Too many exports are asked for at once. Nothing has moved: try again.",
            )
        task = asyncio.create_task(self._in_turn(request))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        answer = await asyncio.shield(task)
        if answer.head.status != 200:
            raise HostError(answer.head.status, answer.head.code, answer.head.message)
        await self._wait_durable(answer.head.as_of_ts)
        return answer

    async def change(self, after_ts: int) -> None:
        """Return once there is a durable commit behind this timestamp."""
        await self._wait_durable(after_ts + 1)

    async def close(self) -> None:
        """End the process; requests under way are told to come back."""
        self._closed = True
        self._stay()
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        await self._end()
        if self._resting is not None:
            await self._resting

    async def _in_turn(self, request: ExportRequest) -> Answer:
        async with self._turn:
            self._stay()
            for _ in range(ATTEMPTS):
                with contextlib.suppress(OSError, EOFError, TimeoutError):
                    return await self._exchange(request)
            raise HostError(
                503,
                "ExportUnavailable",
                "The process that makes exports ended before it answered, and starts again with "
                "the next request. Nothing has moved: try again with the same cursor.",
            )

    async def _exchange(self, request: ExportRequest) -> Answer:
        try:
            async with asyncio.timeout(self._silence_s):
                await self._ensure()
                await self._say(request)
                answer = await self._listen()
        except BaseException:
            await self._bury()  # half an answer may be in the socket
            raise
        self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._rest)
        return answer

    def _stay(self) -> None:
        """Don't end the process for being idle."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _rest(self) -> None:
        self._idle = None
        self._resting = asyncio.create_task(self._end())

    async def _end(self) -> None:
        async with self._turn:
            await self._bury()

    async def _ensure(self) -> None:
        if self._child is not None:
            return
        if self._closed:
            raise HostError(503, "ServerStopping", "The server is stopping. Try again later.")
        secret = await self._secret()
        self._child, self._socket = await self._spawn()
        self._socket.setblocking(False)
        await self._say(Configure(str(self._database), secret))

    async def _say(self, request: Request) -> None:
        assert self._socket is not None
        await asyncio.get_running_loop().sock_sendall(self._socket, frame(encode(request)))

    async def _listen(self) -> Answer:
        [length] = _LENGTH.unpack(await self._receive(_LENGTH.size))
        head: Head = decode_head(await self._receive(length))
        return Answer(head, await self._receive(head.body_bytes))

    async def _receive(self, length: int) -> bytearray:
        """Exactly so many bytes, in one piece."""
        assert self._socket is not None
        loop, whole, place = asyncio.get_running_loop(), bytearray(length), 0
        with memoryview(whole) as view:
            while place < length:
                received = await loop.sock_recv_into(self._socket, view[place:])
                if not received:
                    raise EOFError
                place += received
        return whole

    async def _bury(self) -> None:
        child, sock = self._child, self._socket
        self._child = self._socket = None
        if sock is not None:
            sock.close()
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

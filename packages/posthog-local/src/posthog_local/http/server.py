"""The HTTP server: uvicorn with a socket of ours, a clean stop, and connections that can be
dropped.

Owns how the process listens. Never knows what is served. Readiness is announced when requests are
accepted, not earlier.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from posthog_local.http.exchange import AsgiApp
from posthog_local.http.router import ABORT_EXTENSION

# Live pages end at once when the server stops; this is for requests that are being committed.
_GRACE_S = 5


class CannotListen(Exception):
    """The address is taken or not ours; the message says so."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotListen(
            f"cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another with --port (0 takes a free one)"
        ) from error
    return listener


async def serve(
    app: AsgiApp,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_stopping: Callable[[], None],
) -> None:
    """Serves until SIGINT or SIGTERM; `on_stopping` must let long requests end."""
    config = uvicorn.Config(
        app,
        http=_DroppableConnection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        backlog=2048,
    )
    server = _Server(config, on_ready)

    def stop() -> None:
        server.should_exit = True
        on_stopping()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn would raise the signal again after a clean stop, and the exit status with it.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


class _DroppableConnection(HttpToolsProtocol):
    """Lets the application close the connection without an answer, as a failing network would."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: self._drop}  # type: ignore[dict-item]  # ours

    def _drop(self) -> None:
        self.transport.abort()

"""The ports of a server, and uvicorn behind them.

Owns taking a port, which comes before anything else, and serving an app on it. Never knows what the
app is. One invariant: a port that can't be had is an error that says which option chooses another.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

#: The releases of uvicorn whose parser `server/direct.py` knows from the inside.
DIRECT_RELEASES = ("0.54.",)
#: The largest message that a client may send: 16 MiB of arguments and room for the envelope.
MAX_MESSAGE_BYTES = 17 * 1024 * 1024
#: How long requests under way may take to end at shutdown, in seconds.
SHUTDOWN_S = 10


class PortTakenError(Exception):
    """Another program listens on the port already."""


def listen(host: str, port: int, option: str) -> socket.socket:
    """Take a port, 0 for a free one, which `option` has named. Raises `PortTakenError`."""
    # Said to be TCP, or asyncio does not switch off Nagle on what it accepts: 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "ports end with 65535"
        raise PortTakenError(
            f"Can't listen on {host}:{port} ({why}). {_way_out(error, option)}"
        ) from None
    return listener


def address_of(host: str, listener: socket.socket) -> str:
    """The URL of what listens there."""
    return f"http://{host}:{listener.getsockname()[1]}"


def protocol_for(release: str) -> type[asyncio.Protocol] | str:
    """How HTTP is read with this release of uvicorn: past ASGI if it is a known one, which is
    faster, and otherwise as uvicorn does it.
    """
    if not release.startswith(DIRECT_RELEASES):
        return "httptools"
    from pyconvex.server.direct import DirectProtocol

    return DirectProtocol


class Serving:
    """An app on a port: begins at once, and needs a running event loop. Call `end` at the end."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=protocol_for(uvicorn.__version__),
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_ping_interval=20.0,
                ws_per_message_deflate=False,
                proxy_headers=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def wait_listening(self) -> None:
        """Return once requests are answered."""
        await self._server.listening.wait()

    async def end(self) -> None:
        """Answer what is under way, and return when that is done."""
        self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class _Uvicorn(uvicorn.Server):
    """uvicorn without signal handlers of its own, that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _way_out(error: Exception, option: str) -> str:
    if isinstance(error, OSError) and error.errno not in (errno.EADDRINUSE, errno.EACCES):
        return "--host takes an address of this machine, such as 127.0.0.1 or 0.0.0.0."
    return (
        "Is another server running? "
        f"Choose another port with {option}, or {option} 0 for a free one."
    )

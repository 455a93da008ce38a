"""The receiver as a process: a socket, uvicorn, and a clean stop.

Owns what happens around the app. One invariant: it says that it is ready once it is.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from posthog_convex.receive.receiver import NO_PERSONS, create_app, opened
from posthog_convex.receive.settings import Settings
from posthog_convex.receive.spool import SpoolError

Say = Callable[[str], None]


class CannotStart(RuntimeError):
    """The address or the folder is taken; the message says which."""


def serve(settings: Settings, host: str, port: int, *, say: Say) -> None:
    """Receive until SIGTERM or Ctrl-C. Raises `CannotStart` and `SettingsError`."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("posthog_convex.receive").setLevel(logging.INFO)
    try:
        asyncio.run(_serve(settings, host, port, say))
    except SpoolError as error:
        raise CannotStart(str(error)) from None


async def _serve(settings: Settings, host: str, port: int, say: Say) -> None:
    listener = _listen(host, port)
    try:
        async with opened(settings) as receiver:
            app = create_app(settings, receiver=receiver)
            config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False)
            server = _Server(config)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, server.stop)
            say(_ready(settings, *listener.getsockname()[:2]))
            await server.serve(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again before the spool is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)  # who comes before the server accepts waits
    except OSError as error:
        listener.close()
        raise CannotStart(f"{host}:{port} can't be listened on: {error.strerror}") from None
    return listener


def _ready(settings: Settings, host: str, port: int) -> str:
    what = " and ".join(
        name for name, on in (("logs", settings.logs), ("errors", settings.errors)) if on
    )
    shown = f"[{host}]" if ":" in host else host
    return (
        f"Receiving Convex's webhook at http://{shown}:{port}/\n"
        f"  forwards  {what} to {settings.destination.origin}\n"
        f"  keeps     what was not taken yet in {settings.data}\n"
        f"{NO_PERSONS}\n"
        "Give Convex's webhook log stream an address that leads here; stop with Ctrl-C."
    )

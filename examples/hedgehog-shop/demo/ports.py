"""Ports to listen on.

Owns which one is taken. Never keeps one: whoever asked binds it next. One invariant: a port that
somebody asked for by number is given as it is, or refused with a sentence.
"""

from __future__ import annotations

import socket

from demo.failure import DemoError

#: How far to look from the usual port.
_TRIES = 50


def choose(option: str, asked: int | None, usual: int, *, pair: bool = False) -> int:
    """A free port: the one that was asked for, else the usual one or the next that is free.

    With `pair` the one after it is free too, for what listens on two.
    """
    if asked == 0:
        return _any_free(pair)
    if asked is not None:
        if not _free(asked, pair):
            both = f" or {asked + 1}, which goes with it," if pair else ""
            raise DemoError(
                f"Port {asked}{both} is taken. Give another with {option}, or leave it out: "
                "then the next free one is taken."
            )
        return asked
    for port in range(usual, usual + 2 * _TRIES, 2 if pair else 1):
        if _free(port, pair):
            return port
    raise DemoError(f"No port from {usual} on is free. Give one with {option}.")


def _free(port: int, pair: bool) -> bool:
    try:
        for one in (port, port + 1) if pair else (port,):
            with socket.socket() as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(("127.0.0.1", one))
    except (OSError, OverflowError):
        return False
    return True


def _any_free(pair: bool) -> int:
    for _ in range(_TRIES):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port: int = found.getsockname()[1]
        if _free(port, pair):
            return port
    raise DemoError("No free port was found.")

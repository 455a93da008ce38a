"""Watching a query over the sync protocol, as `run --watch` does.

Owns one subscription and coming back after a broken connection. Never prints. One invariant: each
result comes once, also when the connection breaks in between.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click
import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from pyconvex.cli.deployment import Deployment, DeploymentError
from pyconvex.values import codec

#: Between two tries to come back: doubled each time.
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 10.0
#: A deployment sends something at least every 15 s.
SILENCE_S = 60.0
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Watched:
    """One result of a watched query; `error` is None unless it failed."""

    value: Any
    error: str | None
    log_lines: tuple[str, ...]


def watch(
    deployment: Deployment,
    path: str,
    arguments: Any,
    component: str,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Watched]:
    """The query's result now and after every change, for ever.

    Raises `DeploymentError` when the deployment refuses, or can't be reached the first time.
    """
    last: Watched | None = None
    pause_s, connected = FIRST_PAUSE_S, False
    while True:
        try:
            with _connected(deployment) as socket:
                connected, pause_s = True, FIRST_PAUSE_S
                _subscribe(socket, deployment, path, arguments, component)
                for result in _results(socket):
                    if result != last:
                        yield result
                    last = result
        except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
            if not connected:
                raise DeploymentError(
                    f"The deployment at {deployment.url} does not answer ({type(error).__name__}). "
                    "Is `pyconvex dev` running?"
                ) from None
        pause(pause_s)
        pause_s = min(2 * pause_s, LAST_PAUSE_S)


def _connected(deployment: Deployment) -> ClientConnection:
    scheme, separator, rest = deployment.url.partition("://")
    if scheme not in ("http", "https") or not separator:
        raise click.UsageError(f"{deployment.url} is no address of a deployment.")
    address = f"{scheme.replace('http', 'ws')}://{rest}/api/sync"
    return connect(address, max_size=_MAX_MESSAGE_BYTES, open_timeout=SILENCE_S)


def _subscribe(
    socket: ClientConnection, deployment: Deployment, path: str, arguments: Any, component: str
) -> None:
    added = {
        "type": "Add",
        "queryId": 0,
        "udfPath": path,
        "args": [arguments],
        "componentPath": component,
    }
    for message in (
        {"type": "Connect", "sessionId": str(uuid.uuid4()), "connectionCount": 0},
        {
            "type": "Authenticate",
            "baseVersion": 0,
            "tokenType": "Admin",
            "value": deployment.admin_key,
        },
        {"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [added]},
    ):
        socket.send(msgspec.json.encode(message).decode())


def _results(socket: ClientConnection) -> Iterator[Watched]:
    while True:
        message = msgspec.json.decode(socket.recv(SILENCE_S))
        match message:
            case {"type": "Transition", "modifications": modifications}:
                yield from (_watched(m) for m in modifications if m["type"] != "QueryRemoved")
            case {"type": "AuthError" | "FatalError", "error": error}:
                raise DeploymentError(str(error))


def _watched(modification: Mapping[str, Any]) -> Watched:
    lines = tuple(modification.get("logLines", ()))
    if modification["type"] == "QueryFailed":
        return Watched(None, str(modification["errorMessage"]), lines)
    value = codec.decode(msgspec.json.encode(modification["value"]))
    return Watched(msgspec.json.decode(codec.encode_as(value, "json")), None, lines)

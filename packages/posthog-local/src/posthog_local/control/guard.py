"""Who may use the control API and the pages: this machine, under a name that is ours.

Owns three checks. The peer must be local, so that a server in a café serves only its owner; the
Host must be ours, so that a foreign name that resolves here reads nothing; the Origin must be the
same site, so that a foreign page cannot make the browser reset the data.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from posthog_local.http.exchange import (
    AsgiApp,
    Receive,
    Scope,
    Send,
    head_of,
    send_response,
    text_response,
)

_LOCAL_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])


class Guard:
    """An ASGI application that lets through what passes the three checks, and answers 403 else."""

    def __init__(
        self, app: AsgiApp, *, allowed_hosts: frozenset[str], allow_remote: bool = False
    ) -> None:
        self._app = app
        self._names = _LOCAL_NAMES | allowed_hosts
        self._allow_remote = allow_remote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is not None:
            await send_response(text_response(403, refusal), send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        head = head_of(scope)
        client = scope.get("client")
        if not self._allow_remote and (client is None or not _is_loopback(client[0])):
            return "the control API and the pages answer this machine only; see --allow-remote"
        host = head.header("host")
        if _name_of(host) not in self._names:
            return f"the host name {host!r} is not this server's; see --allow-host"
        origin = head.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "a page of another site may not control this server"
        return None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""

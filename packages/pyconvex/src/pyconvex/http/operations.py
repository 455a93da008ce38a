"""What operators ask of a running deployment: to take a new app, how it is doing, to be let in.

Owns these endpoints, which are this project's own. Never deploys by itself. One invariant: all of
them answer administrators only.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from pyconvex.http.caller import Callers
from pyconvex.http.exchange import Request, Response, json

#: The source of one app, text as JSON; far more than an app of a thousand modules has.
_MAX_SOURCE_BYTES = 32 * 1024 * 1024


class Upload(msgspec.Struct, frozen=True):
    """The source of an app: texts by path, such as `messages/list.py`, and their folder's name."""

    sources: dict[str, str]
    folder: str = "convex"


class DeleteTables(msgspec.Struct, frozen=True, rename="camel"):
    """Tables to delete with all their documents; `component` is this host's own."""

    table_names: list[str]
    component: str = ""


class Operator(Protocol):
    """Who carries out what operators ask."""

    async def deploy(self, upload: Upload) -> dict[str, Any]:
        """Put an app into force and describe it; raises `HostError` (400) when it can't be."""

    async def delete_tables(self, asked: DeleteTables) -> None:
        """Delete all of these tables or none; raises `HostError` (400) when it can't be."""

    def status(self) -> dict[str, Any]:
        """How the deployment is doing, as plain data without secrets."""

    def sign_in_link(self, reached_at: str) -> dict[str, Any]:
        """A link that signs in to the dashboard once; `reached_at` is the host that was asked."""


class OperationRoutes:
    """Answers operators."""

    def __init__(self, callers: Callers, operator: Operator) -> None:
        self._callers = callers
        self._operator = operator

    async def deploy(self, request: Request) -> Response:
        """`POST /api/pyconvex/deploy`: answered when the app is in force."""
        await self._callers.admin(request)
        upload = await request.json_body(Upload, _MAX_SOURCE_BYTES, "an app's source")
        return json(await self._operator.deploy(upload))

    async def delete_tables(self, request: Request) -> Response:
        """`POST /api/delete_tables`: what the button of Convex's dashboard asks for."""
        await self._callers.admin(request)
        asked = await request.json_body(DeleteTables, _MAX_SOURCE_BYTES, "names of tables")
        await self._operator.delete_tables(asked)
        return Response(200, b"")

    async def status(self, request: Request) -> Response:
        """`GET /api/pyconvex/status`."""
        await self._callers.admin(request)
        return json(self._operator.status())

    async def sign_in_link(self, request: Request) -> Response:
        """`POST /api/pyconvex/sign_in_link`: an address that signs in to the dashboard, once."""
        await self._callers.admin(request)
        return json(self._operator.sign_in_link(request.header(b"host") or ""))

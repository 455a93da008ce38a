"""The deployment API of log streams, with Convex's bodies and errors, and what goes beyond it.

Owns the endpoints. Never knows a kind of stream. One invariant: all of them answer administrators
only, because what they tell holds the secrets that webhooks are signed with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from pyconvex.http.caller import Callers
from pyconvex.http.exchange import Request, RequestError, Response, json

#: Settings of one stream are a few lines.
_MAX_BODY_BYTES = 256 * 1024

Endpoint = Callable[[Request], Awaitable[Response]]


class LogStreamOperations(Protocol):
    """Who carries out what is asked of log streams; all raise `HostError`."""

    async def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set up a stream; it is verified after this returned."""

    async def update(self, id: str, body: Mapping[str, Any]) -> None:
        """Change what `body` names, `null` unsets; it is verified again."""

    async def delete(self, id: str) -> None:
        """Take a stream away, with its place in the log."""

    async def rotate_secret(self, id: str) -> dict[str, Any]:
        """Give a webhook another secret, from the next request on."""

    async def test(self, id: str) -> dict[str, Any]:
        """Verify a stream now, whatever its state; nothing of it changes."""

    def get(self, id: str) -> dict[str, Any]:
        """A stream's settings and status."""

    def listed(self) -> list[dict[str, Any]]:
        """All streams' settings and statuses."""

    def overview(self) -> dict[str, Any]:
        """All streams with how they fare, and the kinds that there are, for forms."""


class LogStreamRoutes:
    """Answers operators about log streams."""

    def __init__(self, callers: Callers, operations: LogStreamOperations) -> None:
        self._callers = callers
        self._operations = operations

    def routes(self) -> dict[str, dict[str, Endpoint]]:
        """The endpoints by path and method."""
        return {
            "/api/v1/create_log_stream": {"POST": self.create},
            "/api/v1/update_log_stream/{id}": {"POST": self.update},
            "/api/v1/delete_log_stream/{id}": {"POST": self.delete},
            "/api/v1/rotate_webhook_secret/{id}": {"POST": self.rotate_secret},
            "/api/v1/list_log_streams": {"GET": self.list},
            "/api/v1/get_log_stream/{id}": {"GET": self.get},
            "/api/pyconvex/log_streams": {"GET": self.overview},
            "/api/pyconvex/test_log_stream/{id}": {"POST": self.test},
        }

    async def create(self, request: Request) -> Response:
        """`POST /api/v1/create_log_stream`."""
        await self._callers.admin(request)
        return json(await self._operations.create(await _object(request)))

    async def update(self, request: Request) -> Response:
        """`POST /api/v1/update_log_stream/{id}`."""
        await self._callers.admin(request)
        await self._operations.update(request.id, await _object(request))
        return Response(200, b"")

    async def delete(self, request: Request) -> Response:
        """`POST /api/v1/delete_log_stream/{id}`."""
        await self._callers.admin(request)
        await self._operations.delete(request.id)
        return Response(200, b"")

    async def rotate_secret(self, request: Request) -> Response:
        """`POST /api/v1/rotate_webhook_secret/{id}`."""
        await self._callers.admin(request)
        return json(await self._operations.rotate_secret(request.id))

    async def list(self, request: Request) -> Response:
        """`GET /api/v1/list_log_streams`."""
        await self._callers.admin(request)
        return json(self._operations.listed())

    async def get(self, request: Request) -> Response:
        """`GET /api/v1/get_log_stream/{id}`."""
        await self._callers.admin(request)
        return json(self._operations.get(request.id))

    async def overview(self, request: Request) -> Response:
        """`GET /api/pyconvex/log_streams`: how streams fare, and which kinds there are."""
        await self._callers.admin(request)
        return json(self._operations.overview())

    async def test(self, request: Request) -> Response:
        """`POST /api/pyconvex/test_log_stream/{id}`."""
        await self._callers.admin(request)
        return json(await self._operations.test(request.id))


async def _object(request: Request) -> dict[str, Any]:
    content_type = request.header(b"content-type") or ""
    if "json" not in content_type.lower():
        raise RequestError(400, "BadJsonBody", "The Content-Type must be application/json.")
    return await request.json_body(dict[str, Any], _MAX_BODY_BYTES, "a log stream's settings")

"""What tools ask a deployment beside running functions: its name, version and variables.

Owns these endpoints. Never keeps a variable. One invariant: whatever shows or changes more than the
name needs an admin key.
"""

from __future__ import annotations

import msgspec

from pyconvex.http.caller import Callers
from pyconvex.http.exchange import Request, Response, json, text
from pyconvex.runtime.calls import EnvChange, Environment

#: A hundred variables of the greatest size that Convex allows, 8 KiB, and their names.
_MAX_CHANGES_BYTES = 1024 * 1024
#: What one request may make this process hold; the official CLI echoes 4 MiB.
_MAX_ECHO_BYTES = 16 * 1024 * 1024


class _Changes(msgspec.Struct, frozen=True):
    changes: list[EnvChange]


class DeploymentRoutes:
    """Answers about one deployment."""

    def __init__(
        self, callers: Callers, environment: Environment, *, name: str, version: str
    ) -> None:
        self._callers = callers
        self._environment = environment
        self._name = name
        self._version = version

    async def home(self, request: Request) -> Response:
        """`GET /`."""
        return text(f"This is {self._name}, a deployment of Python functions; it is running.\n")

    async def version(self, request: Request) -> Response:
        """`GET /version` and `/instance_version`."""
        return text(self._version)

    async def name(self, request: Request) -> Response:
        """`GET /instance_name`."""
        return text(self._name)

    async def echo(self, request: Request) -> Response:
        """`POST /echo`: the body."""
        content_type = request.header(b"content-type") or "application/octet-stream"
        return Response(200, await request.body(_MAX_ECHO_BYTES), content_type.encode("latin-1"))

    async def check_admin_key(self, request: Request) -> Response:
        """`GET /api/check_admin_key`: 200, or why the key is none."""
        await self._callers.admin(request)
        return json({"success": True, "allowedOps": [], "isReadOnly": False})

    async def list_variables(self, request: Request) -> Response:
        """`GET /api/list_environment_variables`."""
        await self._callers.admin(request)
        return json({"environmentVariables": await self._environment.list()})

    async def update_variables(self, request: Request) -> Response:
        """`POST /api/update_environment_variables`: all changes, or none."""
        await self._callers.admin(request)
        asked = await request.json_body(_Changes, _MAX_CHANGES_BYTES, "changes")
        await self._environment.apply(asked.changes)
        return Response(200, b"")

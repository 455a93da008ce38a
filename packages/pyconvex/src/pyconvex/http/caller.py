"""Who makes a request.

Owns where a request carries its credential. Never verifies one; the `Authenticator` does. One
invariant: a credential that is present and wrong fails the request, also for public functions.
"""

from __future__ import annotations

from pyconvex.http.exchange import Request, RequestError
from pyconvex.identity import Admin, Authenticator, Identity


class Callers:
    """Tells callers by the `Authorization` header, or for tools by the parameter `adminKey`."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def of(self, request: Request) -> Identity:
        """Who calls; raises `AuthenticationError`."""
        header = request.header(b"authorization")
        admin_key = request.query.get("adminKey") if header is None else None
        if admin_key is not None:
            return (await self._authenticator.admin_key(admin_key)).identity
        return (await self._authenticator.header(header)).identity

    async def admin(self, request: Request) -> Admin:
        """Who calls, if it is an administrator; otherwise raises (403 `BadDeployKey`)."""
        identity = await self.of(request)
        if not isinstance(identity, Admin):
            raise RequestError(
                403,
                "BadDeployKey",
                "Only an administrator may do this: send the header `Authorization: Convex "
                "<admin key>`.",
            )
        return identity

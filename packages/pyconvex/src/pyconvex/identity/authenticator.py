"""The seam between the edges, which receive credentials, and `auth`, which verifies them.

Owns the `Authenticator` protocol, its answer and its error. Never looks into a credential. One
invariant: a credential that is present but wrong is an error, never an anonymous caller.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from pyconvex.identity.caller import Identity


class Verified(msgspec.Struct, frozen=True):
    """An identity, and the Unix time in seconds from which its credential no longer counts."""

    identity: Identity
    expires_at_s: float | None = None


class AuthenticationError(Exception):
    """Credentials that were shown and refused: an HTTP status, Convex's code, and a message.

    The message names neither token nor key.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Authenticator(Protocol):
    """Turns credentials into identities; what it refuses raises `AuthenticationError`."""

    async def header(self, authorization: str | None) -> Verified:
        """The caller that an HTTP `Authorization` header names; without one, nobody."""

    async def token(self, token: str) -> Verified:
        """The user whom a bearer token names."""

    async def admin_key(self, key: str, acting_as: bytes | None = None) -> Verified:
        """The administrator with this key, acting as the user whom this JSON object describes."""

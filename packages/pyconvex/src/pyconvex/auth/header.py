"""The `Authorization` header: which kind of credential it carries.

Owns the two schemes, `Bearer` and `Convex`. Never verifies a credential. One invariant: a header
that is present gives a credential or an error, never nobody.
"""

from __future__ import annotations

from typing import NamedTuple

from pyconvex.identity import AuthenticationError

#: No header that is shorter can hold a scheme and a credential.
_SHORTEST = 7


class BearerToken(NamedTuple):
    """A user's token, not verified."""

    token: str


class AdminCredential(NamedTuple):
    """An admin key, perhaps followed by an identity to act as, not verified."""

    presented: str


def parse_authorization(header: str) -> BearerToken | AdminCredential:
    """The credential in a header; the scheme's case doesn't matter.

    Raises `AuthenticationError`: 400 `InvalidHeaderFailure` when the header is too short to be one,
    400 `InvalidAdminKey` for another scheme.

    >>> parse_authorization("convex x|secret")
    AdminCredential(presented='x|secret')
    """
    if len(header) < _SHORTEST:
        raise AuthenticationError(
            400, "InvalidHeaderFailure", "The Authorization header is too short for a credential."
        )
    scheme, _, credential = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return BearerToken(credential.strip())
        case "convex":
            return AdminCredential(credential.strip())
    raise AuthenticationError(
        400,
        "InvalidAdminKey",
        "The Authorization header must be `Bearer <token>` for a user or `Convex <admin key>`.",
    )

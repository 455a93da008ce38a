"""A JSON Web Token, taken apart and not believed.

Owns the form: three parts, a header and a payload that are JSON objects, and the claims that decide
about a token. Never verifies a signature. One invariant: whatever bytes come in, the outcome is a
`Token` or an `AuthenticationError` that doesn't repeat them.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from pyconvex.identity import AuthenticationError

#: Tokens come in a header or a frame; real ones have a few hundred to a few thousand characters.
MAX_TOKEN_CHARS = 64 * 1024


class Token(msgspec.Struct, frozen=True):
    """What a token says of itself."""

    encoded: str
    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        """The claim `iss`; "" when there is none."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""

    @property
    def subject(self) -> str:
        """The claim `sub`; "" when there is none."""
        subject = self.claims.get("sub")
        return subject if isinstance(subject, str) else ""

    @property
    def audiences(self) -> tuple[str, ...]:
        """The claim `aud`, which is a text or a list of texts."""
        audience = self.claims.get("aud")
        listed = audience if isinstance(audience, list) else [audience]
        return tuple([name for name in listed if isinstance(name, str)])

    def __repr__(self) -> str:
        return f"Token({self.algorithm}, issuer={self.issuer!r})"


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None
    crit: msgspec.Raw | None = None
    #: Only false means what it says elsewhere: a payload that is not encoded.
    b64: bool = True


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(dict[str, Any])


def parse_token(encoded: str) -> Token:
    """Take a token apart. Raises `AuthenticationError` (401 `InvalidAuthHeader`)."""
    if len(encoded) > MAX_TOKEN_CHARS:
        raise _unreadable(f"it has more than {MAX_TOKEN_CHARS} characters")
    parts = encoded.split(".")
    if len(parts) != 3:
        raise _unreadable("a JSON Web Token has three parts, joined by dots")
    try:
        header = _header.decode(_decoded(parts[0]))
        claims = _claims.decode(_decoded(parts[1]))
        _decoded(parts[2])
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        raise _unreadable("its parts are not base64url of a JSON object") from None
    if header.crit is not None or not header.b64:
        raise _unreadable("its header asks for an extension that is not known here")
    return Token(encoded, header.alg, header.kid, claims)


def numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """A claim that is a time in seconds; None when it is missing.

    Raises `ValueError` when it is something else.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e15 < value < 1e15:
        raise ValueError(f"the claim `{name}` is not a time in seconds")
    return float(value)


def _decoded(part: str) -> bytes:
    if not part.isascii() or "=" in part or "+" in part or "/" in part:
        raise ValueError
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _unreadable(why: str) -> AuthenticationError:
    return AuthenticationError(401, "InvalidAuthHeader", f"Could not parse as id token: {why}.")

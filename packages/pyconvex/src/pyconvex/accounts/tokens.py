"""What a client holds of its session: an access token for an hour, a refresh token for the next.

Owns their form. Never stores either. One invariant: the secret of a refresh token exists in the
client and nowhere else; here is only its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from pyconvex.accounts.people import DIVIDER
from pyconvex.functions.auth_config import OWN_APPLICATION_ID

#: How long an access token counts, in seconds; official clients refresh it before (their number).
ACCESS_S = 3600

_PEM = re.compile(r"(-----BEGIN [A-Z ]+-----)(.*)(-----END [A-Z ]+-----)", re.DOTALL)


class SigningError(Exception):
    """There is no key to sign with, or the one that was set is none."""


class RefreshToken(msgspec.Struct, frozen=True):
    """A refresh token as its client has it.

    >>> RefreshToken.parse("t|s|secret") == RefreshToken("t", "s", "secret")
    True
    >>> RefreshToken.parse("t|s") is None
    True
    """

    token_id: str
    session_id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> RefreshToken | None:
        """The token; None for a text that is none."""
        parts = text.split(DIVIDER) if len(text) < 1024 else []
        return cls(*parts) if len(parts) == 3 and all(parts) else None

    def __str__(self) -> str:
        return DIVIDER.join((self.token_id, self.session_id, self.secret))

    def __repr__(self) -> str:
        return f"RefreshToken({self.token_id!r}, {self.session_id!r}, …)"


def hash_of(secret: str) -> str:
    """What is stored of a secret; it is random and long, so a fast hash does."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_hash_of(stored: str, secret_hash: str) -> bool:
    """Whether two hashes are equal, found in constant time."""
    return hmac.compare_digest(stored.encode(), secret_hash.encode())


def access_token(
    private_pem: str | None, issuer: str, user_id: str, session_id: str, now_s: float
) -> str:
    """A signed token for this session. Raises `SigningError` without a key."""
    if not private_pem:
        raise SigningError(
            "This deployment has no key to sign tokens with: deploy again, which makes one, or set "
            "JWT_PRIVATE_KEY and JWKS."
        )
    claims = {
        "sub": f"{user_id}{DIVIDER}{session_id}",
        "iss": issuer,
        "aud": OWN_APPLICATION_ID,
        "iat": int(now_s),
        "exp": int(now_s) + ACCESS_S,
    }
    return jwt.encode(claims, _private_key(private_pem), algorithm="RS256")


@lru_cache(maxsize=4)
def _private_key(pem: str) -> RSAPrivateKey:
    """The key; official tools write its lines with spaces between them."""
    found = _PEM.search(pem)
    if found is not None:
        head, body, foot = found.groups()
        pem = "\n".join((head, *body.split(), foot, ""))
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise SigningError("The variable JWT_PRIVATE_KEY holds no RSA key in PEM.")
    return key

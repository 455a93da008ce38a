"""Tokens of users whom the deployment under test trusts, and of others.

Owns the claims. Never checks one.
"""

from __future__ import annotations

import time

from issuing import rsa_key, signed

ISSUER = "https://issuer.example"


def token_of(user: str, *, lifetime_s: float = 3600, key: str = "edges") -> str:
    """A token for this user; one whose lifetime is negative has expired."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": user, "aud": "edges", "iat": now - 7200}
    return signed({**claims, "exp": now + lifetime_s}, rsa_key(key))

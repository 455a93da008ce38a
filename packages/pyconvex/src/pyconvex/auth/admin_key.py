"""Admin keys: `[type:]deployment|secret`, and the identity to act as that may follow one.

Owns the grammar, making a key and checking one. Never stores a key. One invariant: a secret holds
no colon, since what follows the first colon behind the bar is the identity to act as.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import NamedTuple

from pyconvex.identity import AuthenticationError

#: Bytes of randomness in a new key's secret; twice as many hex digits.
SECRET_BYTES = 32


class PresentedKey(NamedTuple):
    """A key as a caller showed it, not verified, and the JSON of the identity to act as."""

    key: str
    acting_as: bytes | None


class AdminKey:
    """The key of one deployment.

    >>> key = AdminKey.generate("hedgehog", bytes(32))
    >>> key.matches(key.text), key.matches("prod:" + key.text), key.matches("hedgehog|other")
    (True, True, False)
    >>> key
    AdminKey('hedgehog|…')
    """

    def __init__(self, text: str) -> None:
        """Raises `ValueError` when this is not a key; the message doesn't repeat it."""
        name, bar, secret = _without_type(text).partition("|")
        if not (name and bar and secret) or ":" in secret:
            raise ValueError("An admin key is `deployment|secret`; the secret has no colon.")
        self.deployment = name
        self.text = f"{name}|{secret}"

    @classmethod
    def generate(cls, deployment: str, randomness: bytes) -> AdminKey:
        """A new key for this deployment, out of `SECRET_BYTES` of randomness."""
        if len(randomness) < SECRET_BYTES:
            raise ValueError(f"An admin key needs {SECRET_BYTES} random bytes.")
        return cls(f"{deployment}|{randomness.hex()}")

    def matches(self, presented: str) -> bool:
        """Whether this is the same key, found in constant time; a type in front doesn't count."""
        return hmac.compare_digest(_without_type(presented).encode(), self.text.encode())

    def __repr__(self) -> str:
        return f"AdminKey('{self.deployment}|…')"


def split_presented(text: str) -> PresentedKey:
    """The key, and the identity to act as, of what a caller sent.

    Raises `AuthenticationError` (400 `InvalidAdminKey`) when the text has not the form of a key.

    >>> split_presented("dev:x|good:e30=")
    PresentedKey(key='x|good', acting_as=b'{}')
    """
    text = _without_type(text)
    if "|" not in text:
        raise AuthenticationError(
            400, "InvalidAdminKey", "The admin key is not of the form `deployment|secret`."
        )
    key, colon, encoded = text.partition(":")
    return PresentedKey(key, _identity_json(encoded) if colon else None)


def _without_type(text: str) -> str:
    name, bar, secret = text.partition("|")
    return name.rpartition(":")[2] + bar + secret


def _identity_json(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise AuthenticationError(
            400, "InvalidAdminKey", "What follows the admin key is not base64 of an identity."
        ) from None

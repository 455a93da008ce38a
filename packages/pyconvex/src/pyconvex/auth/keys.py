"""Public keys: JSON Web Key Sets, and the signatures that they vouch for.

Owns which key may verify which algorithm. Never fetches a set and looks at no claim. One invariant:
the algorithm is the provider's choice, never the token's, and no key of another kind is tried: what
is public can't be taken for a shared secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from pyconvex.auth.token import Token

#: Key type and curve that an algorithm goes with.
_KINDS = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
#: Factored by now, or soon: no provider has such keys.
_MIN_RSA_BITS = 2048
#: More keys than any provider has at a time; each costs time for a token that names none.
_MAX_KEYS = 64


class KeySetError(Exception):
    """Something that is no key set; the message says why."""


class PublicKey(msgspec.Struct, frozen=True):
    """One key, and what it may verify."""

    key_id: str | None
    algorithm: str
    key: jwt.PyJWK


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def parse_key_set(encoded: bytes) -> tuple[PublicKey, ...]:
    """The keys of a set that can verify tokens; others are passed over.

    Raises `KeySetError` when this is no key set.
    """
    try:
        entries = msgspec.json.decode(encoded, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise KeySetError("it is not a JSON object with a list `keys`") from None
    found = (_public_key(entry) for entry in entries[:_MAX_KEYS])
    return tuple([key for key in found if key is not None])


def data_uri_content(uri: str) -> bytes:
    """What a `data:` URI holds. Raises `KeySetError`.

    >>> data_uri_content("data:application/json;base64,e30="), data_uri_content("data:,%7B%7D")
    (b'{}', b'{}')
    """
    head, comma, content = uri.removeprefix("data:").partition(",")
    if not comma:
        raise KeySetError("the data: URI has no comma")
    raw = unquote_to_bytes(content)
    if not head.endswith(";base64"):
        return raw
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error:
        raise KeySetError("the data: URI is not base64") from None


def matching(keys: Sequence[PublicKey], token: Token) -> tuple[PublicKey, ...]:
    """The keys that may have signed a token: the one that it names or, if it names none, all."""
    return tuple(
        [
            key
            for key in keys
            if key.algorithm == token.algorithm
            and (token.key_id is None or key.key_id is None or key.key_id == token.key_id)
        ]
    )


def verifies(key: PublicKey, token: Token) -> bool:
    """Whether this key signed the token."""
    try:
        _signatures.decode_complete(token.encoded, key.key, algorithms=[key.algorithm])
    except jwt.PyJWTError:
        return False
    return True


_signatures = jwt.PyJWS(algorithms=list(_KINDS))


def _public_key(entry: dict[str, Any]) -> PublicKey | None:
    kind = (entry.get("kty"), entry.get("crv"))
    algorithm = next((name for name, kinds in _KINDS.items() if kinds == kind), None)
    if algorithm is None or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    # `EdDSA` has a second name by now, which says the curve.
    if entry.get("alg", algorithm) not in (algorithm, kind[1]):
        return None
    key_id = entry.get("kid")
    try:
        key = jwt.PyJWK({**entry, "alg": algorithm}, algorithm=algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _MIN_RSA_BITS:
        return None
    return PublicKey(key_id if isinstance(key_id, str) else None, algorithm, key)

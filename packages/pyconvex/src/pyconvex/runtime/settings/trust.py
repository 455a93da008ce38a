"""Whom the app in force trusts, and what this deployment signs with.

Owns the document that holds the providers, written by a deploy, and the two variables of the
signing key. Never verifies a token, and never fetches a key. One invariant: what is trusted is read
like everything else, so that a deploy or a changed variable counts for the next token.
"""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from pyconvex.database import Transaction
from pyconvex.functions.component import RESERVED_VARIABLES
from pyconvex.runtime.app.spec import AuthSpec, ProviderSpec, SettingSpec
from pyconvex.runtime.settings import addresses

#: The signing key and its public half, under the names that `@convex-dev/auth` gave them, so that
#: a deployment which moves here takes its key along.
PRIVATE_KEY = "JWT_PRIVATE_KEY"
JWKS = "JWKS"
#: What NIST holds good beyond 2030 is 3072; providers sign with 2048, and so does Convex Auth.
_KEY_BITS = 2048

_TABLE = "_auth"


class SigningKey(msgspec.Struct, frozen=True):
    """A private key in PEM, and the JSON Web Key Set of its public half."""

    private_pem: str
    jwks: str

    def __repr__(self) -> str:
        return "SigningKey(…)"


def new_signing_key() -> SigningKey:
    """A new key; takes a good part of a second."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    key = {"use": "sig", "kty": "RSA", "alg": "RS256", "n": public["n"], "e": public["e"]}
    return SigningKey(pem.decode(), msgspec.json.encode({"keys": [key]}).decode())


def needs_signing_key(tx: Transaction, auth: AuthSpec) -> bool:
    """Whether the app trusts what this deployment signs, and there is nothing to sign with."""
    issues = any(provider.is_this_deployment for provider in auth.providers)
    return issues and tx.namespace("").env(PRIVATE_KEY) is None


def record(tx: Transaction, auth: AuthSpec, key: SigningKey | None) -> None:
    """Put providers into force, and a signing key unless there is one by now."""
    app = tx.namespace("")
    if key is not None and app.env(PRIVATE_KEY) is None:
        app.set_env(PRIVATE_KEY, key.private_pem)
        app.set_env(JWKS, key.jwks)
    place = tx.namespace("", system=True)
    wanted = msgspec.json.encode(auth.providers).decode()
    for document in list(place.scan(_TABLE)):
        if document["providers"] == wanted:
            return
        place.delete(str(document["_id"]))
    place.insert(_TABLE, {"providers": wanted})


class Resolved(msgspec.Struct, frozen=True):
    """A provider with its variables looked up; `missing` names those that are not set."""

    issuer: str
    application_id: str | None = None
    jwks: str | None = None
    algorithm: str | None = None
    missing: tuple[str, ...] = ()


def resolved(tx: Transaction) -> list[Resolved]:
    """The providers in force, in the order in which they are asked."""
    return [_resolve(provider, tx) for provider in _stored(tx)]


def own_jwks(tx: Transaction) -> str | None:
    """The public half of what this deployment signs with."""
    return tx.namespace("").env(JWKS)


def _stored(tx: Transaction) -> list[ProviderSpec]:
    for document in tx.namespace("", system=True).scan(_TABLE):
        try:
            return msgspec.json.decode(str(document["providers"]), type=list[ProviderSpec])
        except msgspec.ValidationError:
            return []  # written by another version of this program: the deploy at start mends it
    return []


def _resolve(provider: ProviderSpec, tx: Transaction) -> Resolved:
    missing = []

    def text(setting: SettingSpec | None) -> str | None:
        if setting is None or setting.source is None:
            return None if setting is None else setting.literal
        name = setting.source
        if name in RESERVED_VARIABLES:
            found = addresses.address(tx, name)
        else:
            found = tx.namespace("").env(name)
        if not found:
            missing.append(name)
        return found

    return Resolved(
        issuer=text(provider.issuer) or "",
        application_id=text(provider.application_id),
        jwks=text(provider.jwks),
        algorithm=provider.algorithm,
        missing=tuple(missing),
    )

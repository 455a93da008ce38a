"""An identity provider for tests: keys, tokens as real providers shape them, and a JWKS server.

Owns a loopback server whose documents a test may change, take away or slow down. Never checks a
token. One invariant: what it signs is a valid token unless the test says what is wrong with it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

#: Long enough that no test outlasts it.
LIFETIME_S = 3600


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key that tests share by name, since making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def public_jwk(key: Any, kid: str | None) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "use": "sig", **({} if kid is None else {"kid": kid})}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def signed(
    claims: Mapping[str, Any],
    key: Any,
    *,
    algorithm: str = "RS256",
    kid: str | None = "one",
    **header: Any,
) -> str:
    headers = {**header, **({} if kid is None else {"kid": kid})}
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers=headers)


def clerk_claims(issuer: str, *, now_s: float | None = None, **more: Any) -> dict[str, Any]:
    """As the JWT template `convex` of Clerk makes them."""
    now = int(time.time() if now_s is None else now_s)
    return {
        "iss": issuer,
        "sub": "user_2abc",
        "aud": "convex",
        "azp": "http://localhost:5173",
        "iat": now,
        "nbf": now - 10,
        "exp": now + LIFETIME_S,
        "jti": f"jti-{now}",
        "fva": [3, -1],
        "name": "Ann Lee",
        "given_name": "Ann",
        "family_name": "Lee",
        "email": "ann@example.com",
        "email_verified": True,
        "picture": "https://img.clerk.com/ann",
        "phone_number_verified": False,
        "updated_at": 1_700_000_000,
        "org_id": None,
        "role": "admin",
        **more,
    }


def auth0_claims(issuer: str, *, now_s: float | None = None, **more: Any) -> dict[str, Any]:
    """As an ID token of Auth0 has them: the issuer ends in a slash."""
    now = int(time.time() if now_s is None else now_s)
    return {
        "iss": issuer.rstrip("/") + "/",
        "sub": "auth0|6543",
        "aud": "yTf3kClientId",
        "iat": now,
        "exp": now + LIFETIME_S,
        "sid": "session-1",
        "nonce": "n",
        "nickname": "bo",
        "name": "bo@example.com",
        "picture": "https://s.gravatar.com/bo",
        "updated_at": "2024-01-02T03:04:05.678Z",
        "email": "bo@example.com",
        "email_verified": "true",
        "https://shop.example/roles": ["buyer"],
        **more,
    }


class Issuer:
    """What a provider serves; change `keys`, or set `status`, and the next request sees it."""

    def __init__(self) -> None:
        self.keys = [public_jwk(rsa_key("one"), "one")]
        self.status = 200
        self.cache_control = "public, max-age=3600"
        #: Paths asked for, in order.
        self.asked: list[str] = []
        self.url = ""

    def token(self, *, key: Any = None, kid: str | None = "one", **claims: Any) -> str:
        """A token of this issuer, in Clerk's shape."""
        return signed(clerk_claims(self.url, **claims), key or rsa_key("one"), kid=kid)

    def document(self, path: str) -> bytes | None:
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}).encode()
        return key_set(*self.keys) if path == "/jwks" else None


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer that listens on this machine."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            body = issuer.document(self.path)
            self.send_response(issuer.status if body is not None else 404)
            self.send_header("content-type", "application/json")
            self.send_header("cache-control", issuer.cache_control)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

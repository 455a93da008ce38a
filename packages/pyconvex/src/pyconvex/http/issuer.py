"""What a deployment that issues tokens publishes: where its keys are, and the keys.

Owns the two documents below `/.well-known/` of the site. Never sees a private key. One invariant: a
deployment that issues nothing publishes nothing, and these paths are the app's like all others.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

#: How long others may keep the documents, in seconds: a new key is known to all soon after.
_MAX_AGE_S = 60


class Published(msgspec.Struct, frozen=True):
    """The issuer as tokens name it, and the JSON Web Key Set of its public keys."""

    issuer: str
    jwks: str


class IssuerDocuments:
    """An ASGI application that answers for the issuer and leaves the rest to `site`.

    `published` is asked at each request; None stands for a deployment that issues nothing.
    """

    def __init__(self, site: ASGIApp, published: Callable[[], Published | None]) -> None:
        self._site = site
        self._published = published

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        document = self._document(scope)
        if document is None:
            return await self._site(scope, receive, send)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(document)),
            (b"cache-control", b"public, max-age=%d" % _MAX_AGE_S),
            (b"access-control-allow-origin", b"*"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else document
        await send({"type": "http.response.body", "body": body})

    def _document(self, scope: Scope) -> bytes | None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        if scope["path"] not in _DOCUMENTS:
            return None
        published = self._published()
        return None if published is None else _DOCUMENTS[scope["path"]](published)


def _discovery(published: Published) -> bytes:
    issuer = published.issuer
    return msgspec.json.encode(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
            "response_types_supported": ["id_token"],
        }
    )


def _keys(published: Published) -> bytes:
    return published.jwks.encode()


_DOCUMENTS: dict[str, Callable[[Published], bytes]] = {
    "/.well-known/openid-configuration": _discovery,
    "/.well-known/jwks.json": _keys,
}

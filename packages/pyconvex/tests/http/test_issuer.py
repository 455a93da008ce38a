"""The documents of a deployment that issues tokens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from pyconvex.http.issuer import IssuerDocuments, Published

SITE = "https://site.example"
PUBLISHED = Published(SITE, '{"keys":[]}')


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"the app's"})


def ask(path: str, method: str = "GET", published: Published | None = PUBLISHED) -> Any:
    """Status, headers and body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "method": method, "path": path}
    asyncio.run(IssuerDocuments(site, lambda: published)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_discovery_leads_to_the_keys() -> None:
    status, headers, body = ask("/.well-known/openid-configuration")
    assert status == 200
    found = json.loads(body)
    assert found["issuer"] == SITE
    assert found["jwks_uri"].startswith(SITE)
    assert headers[b"content-length"] == str(len(body)).encode()
    status, headers, body = ask(found["jwks_uri"].removeprefix(SITE))
    assert (status, json.loads(body)) == (200, {"keys": []})
    assert headers[b"access-control-allow-origin"] == b"*"


def test_a_head_request_gets_no_body() -> None:
    status, headers, body = ask("/.well-known/jwks.json", "HEAD")
    assert (status, headers[b"content-length"], body) == (200, b"11", b"")


@pytest.mark.parametrize(
    ("path", "method", "published"),
    [
        ("/.well-known/jwks.json", "GET", None),
        ("/.well-known/jwks.json", "POST", PUBLISHED),
        ("/.well-known/security.txt", "GET", PUBLISHED),
    ],
)
def test_everything_else_is_the_app_s(path: str, method: str, published: Published | None) -> None:
    assert ask(path, method, published)[::2] == (404, b"the app's")

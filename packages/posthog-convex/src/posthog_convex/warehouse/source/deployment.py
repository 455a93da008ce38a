"""The deployment to read: its address, its key, and requests to it over HTTP.

Owns the connection and the key. Never follows a redirect and never lets the key into a message, a
log or a `repr`. Invariant: an answer that this gives is whole.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.source.steps import Request

if TYPE_CHECKING:
    import httpx2

CLIENT = "posthog-convex-0.1.0"
#: A page may hold 64 MiB of documents, and a backend may be slow to begin.
READ_TIMEOUT_S = 120.0
CONNECT_TIMEOUT_S = 10.0
_ADDRESS = re.compile(r"https?://[^/?#\s@]+(/[^?#\s]*)?")


class Source(Protocol):
    """Where requests go; a test's double of a deployment is one too."""

    def ask(self, request: Request) -> Answer:
        """One attempt. Faults of the network are answers with status 0, not exceptions."""

    def close(self) -> None:
        """Let go of connections."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's address and key. `ca_file`: certificates to trust instead of the system's.

    >>> Deployment(url="http://127.0.0.1:3210/", key="secret")
    Deployment(url='http://127.0.0.1:3210', key=…)
    """

    url: str
    key: str
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise SyncRefused(
                "bad_address",
                "What is given as the deployment's address is none",
                "It begins with http:// or https:// and has no query, such as"
                " https://happy-animal-123.convex.cloud or http://127.0.0.1:3210.",
            )
        if not self.key.strip():
            raise SyncRefused(
                "no_key",
                "There is no key for the deployment",
                "Set CONVEX_DEPLOY_KEY to a deploy key or an admin key with the permission"
                " deployment:data:view.",
            )
        if not self.key.isascii() or not self.key.isprintable():
            raise SyncRefused(
                "bad_key",
                "The deployment's key holds characters that no key has",
                "Copy it again, without quotes or line ends.",
            )
        msgspec.structs.force_setattr(self, "url", self.url.rstrip("/"))
        msgspec.structs.force_setattr(self, "key", self.key.strip())

    def __repr__(self) -> str:
        return f"Deployment(url={self.url!r}, key=…)"


class HttpSource:
    """A deployment over HTTP, one connection kept open."""

    def __init__(self, deployment: Deployment, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        import httpx2

        self._deployment = deployment
        self._client = httpx2.Client(
            base_url=deployment.url,
            headers={
                "Authorization": f"Convex {deployment.key}",
                "Convex-Client": CLIENT,
                # Between two processes of one machine, packing costs more than it saves.
                "Accept-Encoding": "identity" if _is_near(deployment.url) else "gzip, identity",
            },
            timeout=httpx2.Timeout(read_timeout_s, connect=min(read_timeout_s, CONNECT_TIMEOUT_S)),
            follow_redirects=False,
            verify=_trust(deployment.ca_file),
        )

    def ask(self, request: Request) -> Answer:
        import httpx2

        headers = {} if request.body is None else {"Content-Type": "application/json"}
        try:
            response = self._client.request(
                request.method, request.path, content=request.body, headers=headers
            )
        except (httpx2.HTTPError, OSError) as error:
            return Answer(0, reason=f"{self._deployment.url}: {_reason(error)}")
        return Answer(
            response.status_code, response.content, retry_after_s=_retry_after(response.headers)
        )

    def close(self) -> None:
        self._client.close()


def _is_address(url: str) -> bool:
    if not _ADDRESS.fullmatch(url):
        return False
    try:
        split = urlsplit(url)
        return bool(split.hostname) and split.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SyncRefused(
            "bad_ca_file",
            f"No certificates can be read from `ca_file`, {ca_file}: {error.strerror or error}",
            "Name a file with certificates in PEM, or leave it out for those that the system"
            " trusts.",
        ) from None


def _is_near(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _reason(error: Exception) -> str:
    """What went wrong, without the request: its headers hold the key."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _retry_after(headers: httpx2.Headers) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None

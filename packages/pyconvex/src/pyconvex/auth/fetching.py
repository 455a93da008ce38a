"""Getting an issuer's public documents.

Owns the one place in this room that talks to the network: deadline, size, and which addresses are
asked. Never follows a redirect, never caches. One invariant: what comes back came over TLS, or from
this machine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Protocol

import httpx2
import msgspec

from pyconvex.functions.auth_config import url_mistake

#: Somebody waits for it: a login, or the first request after a start.
DEADLINE_S = 10.0
#: The largest sets in use have a few kilobytes.
MAX_BYTES = 512 * 1024

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})")


class Fetched(msgspec.Struct, frozen=True):
    """A document, and how long its sender calls it fresh; None when it doesn't say."""

    body: bytes
    max_age_s: float | None = None


class FetchError(Exception):
    """The document did not come; `passing` when trying again later may help."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


class Fetch(Protocol):
    """The way to an issuer, so that tests can stand in for it."""

    async def __call__(self, url: str) -> Fetched:
        """Get a document. Raises `FetchError`."""


class HttpFetch:
    """A `Fetch` over HTTP; `aclose` it."""

    def __init__(self, *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._client: httpx2.AsyncClient | None = None

    async def __call__(self, url: str) -> Fetched:
        mistake = url_mistake(url)
        if mistake is not None:
            raise FetchError(f"{url} {mistake}", passing=False)
        if self._client is None:  # a deployment without providers needs none
            self._client = httpx2.AsyncClient(timeout=self._deadline_s)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._get(self._client, url)
        except TimeoutError:
            raise FetchError(
                f"{url} did not answer within {self._deadline_s:g} s", passing=True
            ) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise FetchError(f"{url}: {type(error).__name__}: {error}", passing=True) from None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _get(self, client: httpx2.AsyncClient, url: str) -> Fetched:
        headers = {"accept": "application/json"}
        async with client.stream("GET", url, headers=headers) as answer:
            if answer.status_code != 200:
                raise FetchError(
                    f"{url} answered {answer.status_code}",
                    passing=answer.status_code >= 500 or answer.status_code == 429,
                )
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise FetchError(f"{url} answered more than {MAX_BYTES} bytes", passing=False)
            return Fetched(bytes(body), _max_age_s(answer.headers))


def _max_age_s(headers: Mapping[str, str]) -> float | None:
    found = _MAX_AGE.search(headers.get("cache-control", "").lower())
    return float(found[1]) if found else None

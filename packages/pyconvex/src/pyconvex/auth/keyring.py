"""The keys of all issuers, kept while they are fresh.

Owns when a key set is fetched, kept, and fetched again because a token names a key that is not in
it. Never verifies a token. One invariant: tokens, also forged ones, make an issuer's documents be
asked for at most once in `RETRY_S`, and keys that were good stay so while their issuer is down.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from pyconvex.auth.fetching import Fetch, FetchError
from pyconvex.auth.keys import KeySetError, PublicKey, data_uri_content, parse_key_set
from pyconvex.functions.auth_config import url_mistake
from pyconvex.identity import AuthenticationError

#: How long a set counts as fresh: what its sender says, within these bounds, in seconds.
MIN_AGE_S = 300.0
DEFAULT_AGE_S = 3600.0
MAX_AGE_S = 86_400.0
#: Between two fetches of one set, whatever tokens say.
RETRY_S = 30.0
#: Between two tries while there is no set at all: somebody waits to get in.
FIRST_RETRY_S = 5.0
#: How long keys count when their issuer can't be reached any more.
MAX_STALE_S = 7 * 86_400.0
#: Sources kept: more than any app has providers.
_MAX_SOURCES = 64

_log = logging.getLogger("pyconvex.auth")


class Source(msgspec.Struct, frozen=True):
    """Where a key set is: at an address, or behind the discovery document of an issuer."""

    url: str
    discovery: bool = False


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


@dataclass(slots=True)
class _Kept:
    """One source's keys; None until they were fetched once."""

    keys: tuple[PublicKey, ...] | None = None
    fetched_s: float = -math.inf
    fresh_until_s: float = -math.inf
    next_try_s: float = -math.inf
    error: AuthenticationError | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Keyring:
    """Fetches and keeps key sets."""

    def __init__(self, fetch: Fetch, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._now_s = now_s
        self._kept: dict[Source, _Kept] = {}

    async def keys(self, source: Source) -> tuple[PublicKey, ...]:
        """The keys as they are known; fetched when they aren't fresh.

        Raises `AuthenticationError` when they can't be had: 503 when it may help to come again.
        """
        if source.url.startswith("data:"):
            return _from_data_uri(source.url)
        kept = self._entry(source)
        # One caller waits for an issuer that takes its time; the others have what was good before.
        waited_for = kept.keys is not None and kept.lock.locked()
        if self._now_s() >= kept.fresh_until_s and not waited_for:
            await self._refresh(source, kept, kept.fetched_s)
        return self._usable(kept)

    async def newer_keys(
        self, source: Source, known: tuple[PublicKey, ...]
    ) -> tuple[PublicKey, ...]:
        """The keys after another look, for a token that none of the known ones signed."""
        if source.url.startswith("data:"):
            return known
        kept = self._entry(source)
        if kept.keys == known:
            await self._refresh(source, kept, kept.fetched_s)
        return self._usable(kept)

    def _entry(self, source: Source) -> _Kept:
        if source not in self._kept and len(self._kept) >= _MAX_SOURCES:
            self._kept.pop(next(iter(self._kept)))
        return self._kept.setdefault(source, _Kept())

    def _usable(self, kept: _Kept) -> tuple[PublicKey, ...]:
        if kept.keys is not None and self._now_s() < kept.fetched_s + MAX_STALE_S:
            return kept.keys
        assert kept.error is not None
        raise kept.error

    async def _refresh(self, source: Source, kept: _Kept, seen_s: float) -> None:
        """Fetch once for all who need it at the same time, unless it was done a moment ago."""
        async with kept.lock:
            if kept.fetched_s != seen_s or self._now_s() < kept.next_try_s:
                return
            try:
                keys, max_age_s = await self._get(source)
            except (FetchError, KeySetError) as error:
                self._failed(source, kept, error)
                return
            now_s = self._now_s()
            age_s = DEFAULT_AGE_S if max_age_s is None else max_age_s
            kept.keys, kept.fetched_s, kept.error = keys, now_s, None
            kept.fresh_until_s = now_s + min(max(age_s, MIN_AGE_S), MAX_AGE_S)
            kept.next_try_s = now_s + RETRY_S
            _log.info("Fetched %d keys of %s", len(keys), source.url)

    def _failed(self, source: Source, kept: _Kept, error: FetchError | KeySetError) -> None:
        have_some = kept.keys is not None
        kept.next_try_s = self._now_s() + (RETRY_S if have_some else FIRST_RETRY_S)
        passing = isinstance(error, FetchError) and error.passing
        what = "Auth provider discovery" if source.discovery else "Fetching the keys"
        kept.error = AuthenticationError(
            503 if passing else 401,
            "AuthProviderDiscoveryFailed",
            f"{what} of {source.url} failed: {error}.",
        )
        consequence = "the keys from before are used" if have_some else "its tokens are refused"
        _log.warning("%s Until that works, %s.", kept.error.message, consequence)

    async def _get(self, source: Source) -> tuple[tuple[PublicKey, ...], float | None]:
        url = source.url
        if source.discovery:
            url = await self._discover(source.url)
        fetched = await self._fetch(url)
        try:
            return parse_key_set(fetched.body), fetched.max_age_s
        except KeySetError as error:
            raise KeySetError(f"what {url} answered is no key set: {error}") from None

    async def _discover(self, issuer: str) -> str:
        url = issuer.rstrip("/") + "/.well-known/openid-configuration"
        fetched = await self._fetch(url)
        try:
            found = msgspec.json.decode(fetched.body, type=_Discovery)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeySetError(f"what {url} answered is no discovery document: {error}") from None
        if found.issuer.rstrip("/") != issuer.rstrip("/"):
            raise KeySetError(f"{url} speaks for another issuer, {found.issuer}")
        mistake = url_mistake(found.jwks_uri)
        if mistake is not None:
            raise KeySetError(f"the jwks_uri {found.jwks_uri!r} of {url} {mistake}")
        return found.jwks_uri


@lru_cache(maxsize=_MAX_SOURCES)
def _from_data_uri(uri: str) -> tuple[PublicKey, ...]:
    try:
        return parse_key_set(data_uri_content(uri))
    except KeySetError as error:
        raise AuthenticationError(
            401, "AuthProviderDiscoveryFailed", f"The jwks of a provider can't be read: {error}."
        ) from None

"""Bearer tokens become users.

Owns the order of the checks: form, provider, time, signature. Never keeps a token but its digest,
and names none in what it raises or logs. One invariant: no claim of a token counts before a key of
the provider that the claim names has signed it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from pyconvex.auth.claims import custom_jwt_attributes, oidc_attributes
from pyconvex.auth.keyring import Keyring, Source
from pyconvex.auth.keys import KeySetError, PublicKey, matching, parse_key_set, verifies
from pyconvex.auth.token import Token, numeric_date, parse_token
from pyconvex.functions.auth_config import url_mistake
from pyconvex.identity import AuthenticationError, User, Verified
from pyconvex.runtime.settings.trust import Resolved

#: How far clocks may be apart, in seconds (Convex's number).
LEEWAY_S = 5.0
#: Tokens remembered; each takes a kilobyte or two.
MAX_KNOWN = 4096
#: What OpenID Connect providers may sign with (Convex's list).
_OIDC_ALGORITHMS = ("RS256", "EdDSA")

_log = logging.getLogger("pyconvex.auth")


class Trust(msgspec.Struct, frozen=True):
    """Whom the deployment trusts at this moment."""

    providers: Sequence[Resolved] = ()
    #: The issuer that this deployment is itself, and its keys; "" when it has no site.
    own_issuer: str = ""
    own_jwks: str | None = None


class _Known(NamedTuple):
    """A token that was found good, and what it was found good by."""

    trust: Trust
    provider: Resolved
    keys: tuple[PublicKey, ...]
    expires_at_s: float
    verified: Verified


class TokenVerifier:
    """Verifies tokens against what `trust` answers at the moment.

    `now_s` is Unix time in seconds.
    """

    def __init__(
        self,
        trust: Callable[[], Trust],
        keyring: Keyring,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._trust = trust
        self._keyring = keyring
        self._now_s = now_s
        #: By digest, the oldest first: over HTTP the same token comes with every request.
        self._known: dict[bytes, _Known] = {}

    async def verify(self, encoded: str) -> Verified:
        """The user whom a token names, and until when. Raises `AuthenticationError`."""
        trust = self._trust()
        digest = hashlib.sha256(encoded.encode("utf-8", "surrogatepass")).digest()
        try:
            known = self._known.get(digest)
            if known is not None and await self._still_holds(known, trust):
                return known.verified
            self._known.pop(digest, None)
            known = await self._verify(trust, parse_token(encoded))
        except AuthenticationError as error:
            _log.info("A token was refused: %s", error.message)
            raise
        self._known[digest] = known
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return known.verified

    async def _still_holds(self, known: _Known, trust: Trust) -> bool:
        """Whether everything that made a token good is as it was; time makes it only worse."""
        return (
            known.trust == trust
            and self._now_s() < known.expires_at_s
            and await self._keys(trust, known.provider) is known.keys
        )

    async def _verify(self, trust: Trust, token: Token) -> _Known:
        provider = _select(trust.providers, token)
        expires_at_s = _check_claims(provider, token, self._now_s())
        keys = await self._check_signature(trust, provider, token)
        own = _is_own(trust, provider)
        attributes = oidc_attributes if provider.jwks is None else custom_jwt_attributes
        user = User(
            token_identifier=f"{token.issuer}|{token.subject}",
            issuer=token.issuer,
            subject=token.subject,
            attributes=attributes(token.claims),
            user_id=token.subject.partition("|")[0] if own else "",
        )
        # No sooner than a new token with this `exp` would be refused, or a client that comes back
        # with it is let in and thrown out in turns.
        until_s = expires_at_s + LEEWAY_S
        return _Known(trust, provider, keys, until_s, Verified(user, until_s))

    async def _check_signature(
        self, trust: Trust, provider: Resolved, token: Token
    ) -> tuple[PublicKey, ...]:
        """The keys, one of which signed the token."""
        keys = await self._keys(trust, provider)
        if not _any_verifies(keys, token) and not _is_own(trust, provider):
            keys = await self._keyring.newer_keys(_source(provider), keys)
        if not _any_verifies(keys, token):
            whose = "this deployment" if _is_own(trust, provider) else provider.issuer
            raise _unverified(f"it is not signed with a key of {whose}")
        return keys

    async def _keys(self, trust: Trust, provider: Resolved) -> tuple[PublicKey, ...]:
        if _is_own(trust, provider):
            return _own_keys(trust.own_jwks or '{"keys":[]}')
        return await self._keyring.keys(_source(provider))


@lru_cache(maxsize=4)
def _own_keys(jwks: str) -> tuple[PublicKey, ...]:
    try:
        return parse_key_set(jwks.encode())
    except KeySetError as error:
        raise _unverified(f"the variable JWKS of this deployment is no key set: {error}") from None


def _select(providers: Sequence[Resolved], token: Token) -> Resolved:
    """The first provider that the token is from and for."""
    for provider in providers:
        if provider.missing or not _same_issuer(provider.issuer, token.issuer):
            continue
        if provider.application_id is None or provider.application_id in token.audiences:
            return provider
    raise AuthenticationError(
        401,
        "NoAuthProvider",
        "No auth provider found matching the given token: "
        + (_listed(providers, token) or "this deployment has no auth providers configured."),
    )


def _same_issuer(configured: str, issuer: str) -> bool:
    if issuer and "://" not in issuer:
        issuer = f"https://{issuer}"
    return bool(issuer) and configured.rstrip("/") == issuer.rstrip("/")


def _listed(providers: Sequence[Resolved], token: Token) -> str:
    """What the token says and what would have been accepted, for the one who sets it up."""
    if not providers:
        return ""
    accepted = "; ".join(_described(provider) for provider in providers)
    audiences = ", ".join(token.audiences) or "none"
    return (
        f"it is from issuer {token.issuer or 'none'} for audience {audiences}. auth_config.py "
        f"names: {accepted}."
    )


def _described(provider: Resolved) -> str:
    if provider.missing:
        return f"a provider that is off while {', '.join(provider.missing)} is not set"
    what = "custom JWT" if provider.jwks is not None else "OIDC"
    return f"{what} issuer {provider.issuer}, audience {provider.application_id or 'any'}"


def _check_claims(provider: Resolved, token: Token, now_s: float) -> float:
    """When the token expires. Raises `AuthenticationError` for what no signature can mend."""
    allowed = _OIDC_ALGORITHMS if provider.jwks is None else (provider.algorithm,)
    if token.algorithm not in allowed:
        hint = ""
        if provider.jwks is None and token.algorithm == "ES256":
            hint = "; use a CustomJwtProvider for ES256"
        names = " or ".join(str(name) for name in allowed)
        raise _unverified(f"it has to be signed with {names}{hint}")
    if provider.jwks is None and len(token.audiences) > 1:
        raise _unverified("it is for several audiences, and an ID token is for one")
    if not token.subject:
        raise _unverified("it has no claim `sub`")
    try:
        expires_at_s = numeric_date(token.claims, "exp")
        not_before_s = numeric_date(token.claims, "nbf")
        issued_at_s = numeric_date(token.claims, "iat")
    except ValueError as error:
        raise _unverified(str(error)) from None
    if expires_at_s is None:
        raise _unverified("it has no claim `exp`")
    if now_s >= expires_at_s + LEEWAY_S:
        raise _unverified("the token has expired")
    if max(not_before_s or 0.0, issued_at_s or 0.0) > now_s + LEEWAY_S:
        raise _unverified("the token is not valid yet: is this machine's clock right?")
    return expires_at_s


def _is_own(trust: Trust, provider: Resolved) -> bool:
    return (
        bool(trust.own_issuer)
        and provider.jwks is None
        and _same_issuer(provider.issuer, trust.own_issuer)
    )


def _source(provider: Resolved) -> Source:
    source = (
        Source(provider.issuer, discovery=True) if provider.jwks is None else Source(provider.jwks)
    )
    mistake = None if source.url.startswith("data:") else url_mistake(source.url)
    if mistake is not None:
        raise AuthenticationError(
            401,
            "AuthProviderDiscoveryFailed",
            f"The address {source.url!r} of a provider in auth_config.py {mistake}.",
        )
    return source


def _any_verifies(keys: Sequence[PublicKey], token: Token) -> bool:
    return any(verifies(key, token) for key in matching(keys, token))


def _unverified(why: str) -> AuthenticationError:
    return AuthenticationError(401, "Unauthenticated", f"Could not verify token claim: {why}.")

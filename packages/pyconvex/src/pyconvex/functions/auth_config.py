"""Identity providers: whose tokens an app trusts.

Owns what `auth_config.py` declares. Never sees a token, and never reads a variable: a reference to
one is followed where tokens are verified. One invariant: a provider that is spelled out and can
never work is refused when it is made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pyconvex.functions.component import EnvRef
from pyconvex.functions.errors import DefinitionError

#: The variable that holds the address of the deployment's own HTTP site.
SITE_URL = "CONVEX_SITE_URL"
#: The audience of tokens that a deployment issues itself, as `@convex-dev/auth` has it.
OWN_APPLICATION_ID = "convex"
#: The issuer of identities that a test or an administrator makes up; nobody can be it for real,
#: since `.test` is no domain.
TEST_ISSUER = "https://convex.test"


@dataclass(frozen=True, kw_only=True, slots=True)
class OidcProvider:
    """Trust an OpenID Connect issuer, such as Clerk or Auth0: its keys are found by discovery.

    A token must name `domain` as its issuer and `application_id` as its audience. Either may be a
    variable that `define_app` declares; while it is not set, the provider is off.

    >>> OidcProvider(domain="https://shop.eu.auth0.com", application_id="yTf3k").domain
    'https://shop.eu.auth0.com'
    """

    domain: str | EnvRef
    application_id: str | EnvRef

    def __post_init__(self) -> None:
        _check_url(self.domain, "domain")
        _check_text(self.application_id, "application_id")

    @classmethod
    def this_deployment(cls) -> OidcProvider:
        """Trust the tokens that this deployment issues, such as those of `password_auth`.

        With it in `providers` the deployment gets a signing key at its next deploy, and serves the
        public half below its site's `/.well-known/`.
        """
        return cls(domain=EnvRef(SITE_URL), application_id=OWN_APPLICATION_ID)


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomJwtProvider:
    """Trust tokens that are signed with keys which you name.

    `jwks` is the address of a JSON Web Key Set, or a `data:` URI that holds one. Only tokens signed
    with `algorithm` count. Without `application_id` every audience does, so give one unless the
    issuer serves your app alone.
    """

    issuer: str | EnvRef
    jwks: str | EnvRef
    algorithm: Literal["RS256", "ES256"]
    application_id: str | EnvRef | None = None

    def __post_init__(self) -> None:
        _check_text(self.issuer, "issuer")
        if not (isinstance(self.jwks, str) and self.jwks.startswith("data:")):
            _check_url(self.jwks, "jwks")
        if self.algorithm not in ("RS256", "ES256"):
            raise DefinitionError(
                f"algorithm must be 'RS256' or 'ES256', not {self.algorithm!r}: a secret that both "
                "sides share, such as HS256 uses, can't be trusted here."
            )
        if self.application_id is not None:
            _check_text(self.application_id, "application_id")


AuthProvider = OidcProvider | CustomJwtProvider


def url_mistake(url: str) -> str | None:
    """What keeps keys from being fetched from this address; None when nothing does.

    >>> url_mistake("http://127.0.0.1:3211"), url_mistake("http://example.com")
    (None, 'must begin with https://, since keys that came unprotected prove nothing')
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"is no URL ({error})"
    if parts.scheme not in ("http", "https") or not host:
        return "must be a URL with its scheme, such as https://example.com"
    if parts.scheme == "http" and not is_loopback(host):
        return "must begin with https://, since keys that came unprotected prove nothing"
    if parts.username is not None:
        return "must not hold a user name"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, so that nothing can be changed on the way."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def providers_of(module: Mapping[str, object]) -> tuple[AuthProvider, ...]:
    """What the names of an imported `auth_config.py` declare. Raises `DefinitionError`."""
    declared = module.get("providers")
    if not isinstance(declared, (list, tuple)):
        raise DefinitionError(
            "auth_config.py must define `providers`: write providers = [OidcProvider(…)] at its "
            "top level, or an empty list to trust nobody."
        )
    for provider in declared:
        if not isinstance(provider, (OidcProvider, CustomJwtProvider)):
            raise DefinitionError(
                f"auth_config.py: providers holds {provider!r}, which is neither an OidcProvider "
                "nor a CustomJwtProvider."
            )
    return tuple(declared)


def _check_url(value: str | EnvRef, what: str) -> None:
    _check_text(value, what)
    mistake = url_mistake(value) if isinstance(value, str) else None
    if mistake is not None:
        raise DefinitionError(f"{what} {value!r} {mistake}.")


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, EnvRef) and not (isinstance(value, str) and value):
        raise DefinitionError(
            f"{what} must be text or a variable such as app.env.AUTH_DOMAIN, not {value!r}."
        )

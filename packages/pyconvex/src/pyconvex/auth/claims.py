"""From the claims of a verified token to the identity that functions see.

Owns Convex's attribute names and which claims become one. Never verifies anything. One invariant:
equal people have equal attributes: claims that differ from token to token of one login are left
out, or each refresh would make every result stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pyconvex.values import codec

#: The claims that OpenID Connect has for a person, and what Convex calls them.
_STANDARD = {
    "name": "name",
    "given_name": "givenName",
    "family_name": "familyName",
    "nickname": "nickname",
    "preferred_username": "preferredUsername",
    "profile": "profileUrl",
    "picture": "pictureUrl",
    "website": "websiteUrl",
    "email": "email",
    "email_verified": "emailVerified",
    "gender": "gender",
    "birthdate": "birthday",
    "zoneinfo": "timezone",
    "locale": "language",
    "phone_number": "phoneNumber",
    "phone_number_verified": "phoneNumberVerified",
    "address": "address",
    "updated_at": "updatedAt",
}
#: About the token and not about the person (`fva` is how long ago Clerk saw the second factor).
_OF_THE_TOKEN = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "fva"})
#: The same, in ID tokens alone.
_OF_THE_LOGIN = frozenset({"auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash"})
#: What Convex computes itself, so that no claim can stand in for it.
_OWN = frozenset({"tokenIdentifier", "issuer", "subject"})


def oidc_attributes(claims: Mapping[str, Any]) -> bytes:
    """The identity of an OpenID Connect token, as tagged JSON."""
    return _encoded(claims, _renamed(claims))


def custom_jwt_attributes(claims: Mapping[str, Any]) -> bytes:
    """The identity of a custom JWT: claims keep their names, and those of objects get dotted ones.

    >>> claims = {"iss": "https://i", "sub": "s", "properties": {"plan": {"id": "pro"}}, "exp": 9}
    >>> codec.decode(custom_jwt_attributes(claims))["properties.plan.id"]
    'pro'
    """
    kept = {name: value for name, value in claims.items() if name not in _OF_THE_TOKEN}
    return _encoded(claims, _flattened(kept, ""))


def _encoded(claims: Mapping[str, Any], attributes: Iterator[tuple[str, Any]]) -> bytes:
    identity: dict[str, Any] = {
        name: value for name, value in attributes if name not in _OWN and _storable(name, value)
    }
    issuer, subject = claims["iss"], claims["sub"]
    identity |= {"tokenIdentifier": f"{issuer}|{subject}", "issuer": issuer, "subject": subject}
    return codec.encode(dict(sorted(identity.items())))


def _renamed(claims: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in claims.items():
        if name in _OF_THE_TOKEN or name in _OF_THE_LOGIN or value is None:
            continue
        attribute = _STANDARD.get(name)
        if attribute is None:
            if name not in _STANDARD.values():
                yield name, _numbers(value)
            continue
        known = _standard_value(name, value)
        if known is not None:
            yield attribute, known


def _standard_value(name: str, value: Any) -> Any:
    """A standard claim in the type that Convex promises; None when it has another."""
    match name:
        case "email_verified" | "phone_number_verified":
            # Some providers write these as texts.
            return {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        case "address":
            return value.get("formatted") if isinstance(value, dict) else value
        case "updated_at" if isinstance(value, (int, float)) and 0 <= value < 1e11:
            return datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
        case _:
            return value if isinstance(value, str) else None


def _flattened(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "fva":
            yield f"{prefix}{name}", _numbers(value)


def _numbers(value: Any) -> Any:
    """JSON's numbers are all of one kind, also those that Python reads as large integers."""
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list():
            return [_numbers(item) for item in value]
        case dict():
            return {name: _numbers(item) for name, item in value.items()}
    return value


def _storable(name: str, value: Any) -> bool:
    """Whether Convex's values can hold a claim: a few characters can't stand in a field's name."""
    try:
        codec.encode({name: value})
    except (ValueError, OverflowError):
        return False
    return True

"""The authenticator of a deployment: its admin key, and the providers that it trusts.

Owns the decision who a caller is. Never reads the network for an admin key. One invariant: a bearer
token that no provider vouches for is refused, also for functions that everybody may call.
"""

from __future__ import annotations

import msgspec

from pyconvex.auth.admin_key import AdminKey, split_presented
from pyconvex.auth.fetching import HttpFetch
from pyconvex.auth.header import AdminCredential, BearerToken, parse_authorization
from pyconvex.auth.keyring import Keyring
from pyconvex.auth.verifier import TokenVerifier, Trust
from pyconvex.identity import ANONYMOUS, Admin, AuthenticationError, User, Verified
from pyconvex.values import InvalidId, codec, ids

_NOBODY = Verified(ANONYMOUS)


class DeploymentAuthenticator:
    """Verifies credentials against one deployment's key and, with `tokens`, its providers."""

    def __init__(self, admin_key: AdminKey, tokens: TokenVerifier | None = None) -> None:
        self._admin_key = admin_key
        self._tokens = tokens or TokenVerifier(Trust, Keyring(HttpFetch()))

    async def header(self, authorization: str | None) -> Verified:
        """The caller that an `Authorization` header names; without one, nobody."""
        if authorization is None:
            return _NOBODY
        match parse_authorization(authorization):
            case BearerToken(token):
                return await self.token(token)
            case AdminCredential(presented):
                return await self.admin_key(presented)

    async def token(self, token: str) -> Verified:
        """The user whom a bearer token names; 401 when no provider vouches for it."""
        return await self._tokens.verify(token)

    async def admin_key(self, key: str, acting_as: bytes | None = None) -> Verified:
        """The administrator who shows this key; 401 `BadAdminKey` when it isn't the right one."""
        presented = split_presented(key)
        if not self._admin_key.matches(presented.key):
            raise AuthenticationError(
                401, "BadAdminKey", "The provided admin key was invalid for this deployment."
            )
        identity_json = acting_as if acting_as is not None else presented.acting_as
        return Verified(Admin(None if identity_json is None else user_to_act_as(identity_json)))


def user_to_act_as(identity_json: bytes) -> User:
    """The user whom an identity object describes; functions see the object as it is.

    Raises `AuthenticationError` (400 `InvalidAdminKey`) when it names nobody: it needs
    `tokenIdentifier`, or `issuer` and `subject`.
    """
    try:
        names = msgspec.json.decode(identity_json, type=_Names)
        attributes = codec.decode(identity_json)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _not_an_identity("is not a JSON object of attributes") from None
    identifier = names.tokenIdentifier or f"{names.issuer}|{names.subject}"
    if not names.tokenIdentifier and not (names.issuer and names.subject):
        raise _not_an_identity("has neither `tokenIdentifier` nor `issuer` and `subject`")
    assert isinstance(attributes, dict)
    return User(
        token_identifier=identifier,
        issuer=names.issuer,
        subject=names.subject,
        attributes=codec.encode({**attributes, "tokenIdentifier": identifier}),
        user_id=_user_of_session(names.subject),
    )


def _user_of_session(subject: str) -> str:
    """The user in a subject of the built-in sign-in, which is `user|session`; "" for another's.

    No provider vouches for an identity to act as, so its form has to tell.
    """
    user, bar, session = subject.partition("|")
    try:
        for id in (user, session):
            ids.decode_id(id)
    except InvalidId:
        return ""
    return user if bar else ""


class _Names(msgspec.Struct, frozen=True):
    tokenIdentifier: str = ""
    issuer: str = ""
    subject: str = ""


def _not_an_identity(why: str) -> AuthenticationError:
    return AuthenticationError(400, "InvalidAdminKey", f"The identity to act as {why}.")

"""The authenticator of a deployment: its admin key, and the providers that it trusts.

Owns the decision who a caller is. Never reads the network for an admin key. One invariant: a bearer
token that no provider vouches for is refused, also for functions that everybody may call.
"""

from __future__ import annotations

import msgspec

from pyconvex.auth.admin_key import AdminKey, split_presented
from pyconvex.auth.header import AdminCredential, BearerToken, parse_authorization
from pyconvex.identity import ANONYMOUS, Admin, AuthenticationError, User, Verified
from pyconvex.values import codec

_NOBODY = Verified(ANONYMOUS)


class DeploymentAuthenticator:
    """Verifies credentials against one deployment's key; trusts no identity provider yet."""

    def __init__(self, admin_key: AdminKey) -> None:
        self._admin_key = admin_key

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
        """Refuses every token with 401 `NoAuthProvider`: no provider is configured."""
        raise AuthenticationError(
            401,
            "NoAuthProvider",
            "No auth provider found matching the given token: this deployment has no auth "
            "providers configured.",
        )

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
    except (msgspec.DecodeError, ValueError):
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
    )


class _Names(msgspec.Struct, frozen=True):
    tokenIdentifier: str = ""
    issuer: str = ""
    subject: str = ""


def _not_an_identity(why: str) -> AuthenticationError:
    return AuthenticationError(400, "InvalidAdminKey", f"The identity to act as {why}.")

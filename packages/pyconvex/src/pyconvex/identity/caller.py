"""The identities: nobody in particular, a user, or an administrator who may act as a user.

Owns these values and their bytes between processes. Never holds tokens, keys or expiry times. One
invariant: equal identities have equal `encode` bytes, so those bytes can be a cache key.
"""

from __future__ import annotations

import msgspec


class Anonymous(msgspec.Struct, frozen=True, tag="anonymous"):
    """A caller who showed no credentials."""


class User(msgspec.Struct, frozen=True, tag="user", kw_only=True):
    """A caller whom an identity provider vouches for.

    `token_identifier` (`issuer|subject`) is unique over all providers. `attributes` is a tagged
    JSON object: exactly what `ctx.auth.get_user_identity()` hands out, decoded only when a
    function asks. `user_id` is the person behind a session of this deployment's own sign-in, whose
    subjects name both; for every other issuer it is "" and the subject is the person.
    """

    token_identifier: str
    issuer: str
    subject: str
    attributes: bytes
    user_id: str = ""

    @property
    def person(self) -> str:
        """Whose call it is, unless the app has a rule of its own."""
        return self.user_id or self.subject


class Admin(msgspec.Struct, frozen=True, tag="admin"):
    """A caller who holds a key of the deployment; with `acting_as`, functions see that user."""

    acting_as: User | None = None


Identity = Anonymous | User | Admin

ANONYMOUS = Anonymous()

_encoder = msgspec.msgpack.Encoder()
#: Most are.
_ANONYMOUS_BYTES = _encoder.encode(ANONYMOUS)
_decoder: msgspec.msgpack.Decoder[Identity] = msgspec.msgpack.Decoder(Identity)


def encode(identity: Identity) -> bytes:
    """The identity as bytes, for another process or as a cache key."""
    return _ANONYMOUS_BYTES if identity is ANONYMOUS else _encoder.encode(identity)


def decode(encoded: bytes) -> Identity:
    """The identity that `encode` wrote.

    >>> decode(encode(ANONYMOUS)) == ANONYMOUS
    True
    """
    return _decoder.decode(encoded)

"""Who calls: the identities that a run can have, and the door that turns credentials into one.

Owns the values and the `Authenticator` seam. Never verifies anything itself; that is `auth`. One
invariant: an identity holds no secret, so it may be logged, stored and used as a cache key.
"""

from pyconvex.identity.authenticator import AuthenticationError, Authenticator, Verified
from pyconvex.identity.caller import (
    ANONYMOUS,
    Admin,
    Anonymous,
    Identity,
    User,
    decode,
    encode,
)

__all__ = [
    "ANONYMOUS",
    "Admin",
    "Anonymous",
    "AuthenticationError",
    "Authenticator",
    "Identity",
    "User",
    "Verified",
    "decode",
    "encode",
]

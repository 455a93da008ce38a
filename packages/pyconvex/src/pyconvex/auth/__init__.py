"""Credentials: admin keys now, identity providers later.

Owns what turns an `Authorization` header or a sync token into an identity. Never decides what an
identity may do. One invariant: secrets are compared in constant time and never leave this room.
"""

from pyconvex.auth.admin_key import AdminKey
from pyconvex.auth.deployment import DeploymentAuthenticator
from pyconvex.auth.header import AdminCredential, BearerToken, parse_authorization

__all__ = [
    "AdminCredential",
    "AdminKey",
    "BearerToken",
    "DeploymentAuthenticator",
    "parse_authorization",
]

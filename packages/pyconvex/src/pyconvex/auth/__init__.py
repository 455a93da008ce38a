"""Credentials: admin keys, and tokens of identity providers.

Owns what turns an `Authorization` header or a sync token into an identity. Never decides what an
identity may do. One invariant: secrets are compared in constant time and never leave this room.
"""

from pyconvex.auth.admin_key import AdminKey
from pyconvex.auth.advice import advice
from pyconvex.auth.deployment import DeploymentAuthenticator, user_to_act_as
from pyconvex.auth.fetching import HttpFetch
from pyconvex.auth.header import AdminCredential, BearerToken, parse_authorization
from pyconvex.auth.keyring import Keyring
from pyconvex.auth.verifier import TokenVerifier, Trust

__all__ = [
    "AdminCredential",
    "AdminKey",
    "BearerToken",
    "DeploymentAuthenticator",
    "HttpFetch",
    "Keyring",
    "TokenVerifier",
    "Trust",
    "advice",
    "parse_authorization",
    "user_to_act_as",
]

"""The secret that this deployment's cursors are sealed with.

Owns its document: made at the first deploy, then never changed. Never seals a cursor. One
invariant: as long as the data lives, restarts and deploys included, every isolate gets the same
secret, so that clients go on where they were.
"""

from __future__ import annotations

import secrets

from pyconvex.database import Transaction

#: The system table that holds secrets, a document each.
_SECRETS = "_secrets"
_CURSORS = "cursors"
_SECRET_BYTES = 32


def ensure(tx: Transaction) -> None:
    """Make the secret, unless there is one."""
    if not stored(tx):
        value = secrets.token_bytes(_SECRET_BYTES)
        tx.namespace("", system=True).insert(_SECRETS, {"name": _CURSORS, "secret": value})


def stored(tx: Transaction) -> bytes:
    """The secret; empty before the first deploy."""
    for document in tx.namespace("", system=True).scan(_SECRETS):
        if document["name"] == _CURSORS:
            secret = document["secret"]
            assert isinstance(secret, bytes)
            return secret
    return b""

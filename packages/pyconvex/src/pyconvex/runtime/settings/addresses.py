"""Where clients reach this deployment, as functions and tools are told.

Owns `CONVEX_CLOUD_URL` and `CONVEX_SITE_URL`: their documents, written when the server starts.
Never listens. One invariant: they are read like every variable, so that what depends on an address
goes stale when the deployment moves.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyconvex.database import Transaction

CLOUD_URL = "CONVEX_CLOUD_URL"
SITE_URL = "CONVEX_SITE_URL"

#: Under no component's path, so that no operator can set them and no list of variables shows them.
_PLACE = "_addresses"


def record(tx: Transaction, addresses: Mapping[str, str]) -> None:
    """Say where the deployment is now."""
    for name, url in addresses.items():
        tx.namespace(_PLACE).set_env(name, url)


def differ(tx: Transaction, addresses: Mapping[str, str]) -> bool:
    """Whether something else was said before."""
    return any(address(tx, name) != url for name, url in addresses.items())


def address(tx: Transaction, name: str) -> str | None:
    """One of the two addresses; None before the server has said it."""
    return tx.namespace(_PLACE).env(name)

"""Whom the deployment trusts, read when it changes and not with every token.

Owns one read of the providers and the watch over what it read. Never verifies anything. One
invariant: what `current` gives is what a read at the newest commit would give.
"""

from __future__ import annotations

from pyconvex.auth import Trust
from pyconvex.database import ReadSet, Subscription, Subscriptions, Transaction
from pyconvex.http import Published
from pyconvex.runtime.commits.system import SystemTransactions
from pyconvex.runtime.settings import trust


class TrustInForce:
    """The providers of the app in force; `close` it."""

    def __init__(
        self, system: SystemTransactions, subscriptions: Subscriptions, own_issuer: str
    ) -> None:
        self._system = system
        self._subscriptions = subscriptions
        self._own_issuer = own_issuer
        self._trust = Trust()
        #: Over what was read last; None before the first read.
        self._watch: Subscription | None = None

    def current(self) -> Trust:
        """Whom to trust at this moment."""
        if self._watch is None or self._watch.invalidated_at is not None:
            self.close()
            self._trust, reads, ts = self._system.read(self._read)
            self._watch = self._subscriptions.add(reads, ts, lambda _: None)
        return self._trust

    def published(self) -> Published | None:
        """What others need to verify this deployment's own tokens; None when it issues none."""
        now = self.current()
        issues = any(provider.issuer == self._own_issuer for provider in now.providers)
        return Published(self._own_issuer, now.own_jwks) if issues and now.own_jwks else None

    def close(self) -> None:
        """End the watch."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _read(self, tx: Transaction) -> tuple[Trust, ReadSet, int]:
        found = Trust(trust.resolved(tx), self._own_issuer, trust.own_jwks(tx))
        return found, tx.read_set(), tx.head.ts

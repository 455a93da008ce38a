"""The server's own transactions: deploys, variables, and whatever else changes system tables.

Owns the retry loop around them. Never runs app code. One invariant: these go through the same
committer and the same checks as everybody's, so that functions which read what they change conflict
or go stale like with any other write.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pyconvex.database import Catalog, CommitOutcome, Committed, Transaction
from pyconvex.runtime.calls import HostError
from pyconvex.runtime.commits.queue import CommitQueue
from pyconvex.storage import Store

T = TypeVar("T")

#: A system transaction conflicts only with another one, so a few runs always do.
MAX_RUNS = 8


class SystemTransactions:
    """Runs functions over a `Transaction` in the server's process."""

    def __init__(
        self,
        store: Store,
        commits: CommitQueue,
        *,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
        source: random.Random | None = None,
    ) -> None:
        self._store = store
        self._reader = store.reader()
        self._commits = commits
        self._catalog = Catalog()
        self._now_ms = now_ms
        self._random = source or random.SystemRandom()

    def read(self, work: Callable[[Transaction], T]) -> T:
        """What `work` finds on the newest snapshot; its writes, if any, are thrown away."""
        with self._transaction() as transaction:
            return work(transaction)

    async def write(
        self,
        work: Callable[[Transaction], T],
        *,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Run `work` and commit what it wrote, ahead of all that waits; durable when this returns.

        From the beginning of `before` on nothing else is committed. Both may run several times.
        Raises what they raise, and `HostError` when it keeps conflicting.
        """
        for _ in range(MAX_RUNS):
            if before is None:
                result, committing = self._propose(work)
            else:
                async with self._commits.paused():
                    await before()
                    result, committing = self._propose(work)
            outcome = await committing
            if isinstance(outcome, Committed):
                await self._store.wait_durable(outcome.ts)
                return result
        raise HostError(
            503,
            "OptimisticConcurrencyControlFailure",
            "Another change of the deployment was made at the same time; nothing was changed. "
            "Try again.",
        )

    def _propose(self, work: Callable[[Transaction], T]) -> tuple[T, asyncio.Future[CommitOutcome]]:
        with self._transaction() as transaction:
            result = work(transaction)
            proposal = transaction.proposal()
        return result, self._commits.submit(proposal, ahead=True)

    def close(self) -> None:
        """Let go of the data folder."""
        self._reader.close()

    def _transaction(self) -> Transaction:
        return Transaction(
            self._reader, now_ms=self._now_ms(), random=self._random, catalog=self._catalog
        )

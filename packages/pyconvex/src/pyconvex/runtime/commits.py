"""The queue in front of the committer.

Owns grouping: everything proposed while the event loop was busy commits together, in order of
arrival. Owns the pause in which several readers open one snapshot. Never judges a proposal. One
invariant: a proposal's future resolves after its commit is visible, and in commit order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pyconvex.database import CommitOutcome, Committer
from pyconvex.storage import Proposal

#: Proposals of one SQLite transaction; more wait for the next turn of the loop.
MAX_GROUP = 64


class CommitQueue:
    """Feeds a `Committer` from the event loop."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._waiting: list[tuple[Proposal, asyncio.Future[CommitOutcome]]] = []
        self._scheduled = False
        self._pauses = 0

    def submit(self, proposal: Proposal) -> asyncio.Future[CommitOutcome]:
        """Queue a proposal; the future gives its outcome once visible, not yet durable."""
        future: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((proposal, future))
        self._schedule()
        return future

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """No commit happens inside the block; proposals wait."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and not self._pauses:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._pauses:
            return
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        try:
            outcomes = self._committer.commit([proposal for proposal, _ in group])
        except Exception as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
                    future.exception()
        else:
            for (_, future), outcome in zip(group, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
        self._schedule()

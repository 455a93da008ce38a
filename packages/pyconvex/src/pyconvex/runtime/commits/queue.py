"""The queue in front of the committer.

Owns grouping: everything proposed while the event loop was busy commits together, in order of
arrival. Owns the pause in which several readers open one snapshot or the log begins anew. Never
judges a proposal. One invariant: a proposal's future resolves after its commit is visible, and in
commit order; in a pause nothing at all is written to the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pyconvex.database import CommitOutcome, Committer
from pyconvex.storage import Proposal

T = TypeVar("T")

#: Proposals of one SQLite transaction; more wait for the next turn of the loop.
MAX_GROUP = 64


class CommitQueue:
    """Feeds a `Committer` from the event loop."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._waiting: list[tuple[Proposal, asyncio.Future[CommitOutcome]]] = []
        self._waiting_work: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._scheduled = False
        self._pauses = 0

    def submit(self, proposal: Proposal, *, ahead: bool = False) -> asyncio.Future[CommitOutcome]:
        """Queue a proposal; the future gives its outcome once visible, not yet durable.

        One that is submitted `ahead` of all that wait, by who has opened its snapshot in the same
        turn of the event loop, meets no conflict.
        """
        future: asyncio.Future[CommitOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.insert(0 if ahead else len(self._waiting), (proposal, future))
        self._schedule()
        return future

    def between(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Queue what changes the store by other means than a proposal, such as acknowledging."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting_work.append((work, future))
        self._schedule()
        return future

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is written inside the block; proposals and other work wait."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._pauses and (self._waiting or self._waiting_work):
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._pauses:
            return
        # Proposals first: one submitted ahead of all others counts on finding its own snapshot.
        if self._waiting:
            self._commit_group()
        work, self._waiting_work = self._waiting_work, []
        for each, future in work:
            _settle(future, each)
        self._schedule()

    def _commit_group(self) -> None:
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


def _settle(future: asyncio.Future[Any], work: Callable[[], Any]) -> None:
    try:
        result = work()
    except Exception as error:
        if not future.done():
            future.set_exception(error)
            future.exception()
    else:
        if not future.done():
            future.set_result(result)

"""The one writer: jobs from the event loop are committed in groups on a thread of their own.

Owns group commit. A job's future is settled only after the commit that holds it was synced to disk,
so an answer given afterwards is durable. A failing job is retried alone and fails alone.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from posthog_local.store.folder import Folder
from posthog_local.store.transaction import Transaction

T = TypeVar("T")
# A group longer than this would make its first request wait for work that came later.
_MAX_JOBS_PER_COMMIT = 256


Job: TypeAlias = Callable[[Transaction], T]


class _Ticket(NamedTuple):
    run: Job[Any]
    future: asyncio.Future[Any]


class Writer:
    """Runs jobs in transactions; `on_commit` is called on the event loop after each group."""

    def __init__(self, folder: Folder, on_commit: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_commit = on_commit
        self._connection = folder.connect_writer()
        self._transaction = Transaction(self._connection)
        self._jobs: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def submit(self, run: Job[T]) -> asyncio.Future[T]:
        """Runs `run` inside the next group; the future has its result once that is on disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Ticket(run, future))
        return future

    async def close(self) -> None:
        """Finishes every submitted job, then closes the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()

    def _work(self) -> None:
        last = False
        while not last:
            group, last = self._next_group()
            if group:
                results = self._commit(group)
                self._loop.call_soon_threadsafe(self._deliver, results)

    def _next_group(self) -> tuple[list[_Ticket], bool]:
        group: list[_Ticket] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == _MAX_JOBS_PER_COMMIT:
                break
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
        return group, job is None

    def _commit(self, group: list[_Ticket]) -> list[tuple[_Ticket, object]]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results: list[tuple[_Ticket, object]] = [
                (job, job.run(self._transaction)) for job in group
            ]
            self._transaction.flush()
            self._connection.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            if len(group) == 1:
                return [(group[0], error)]
            return [result for job in group for result in self._commit([job])]
        return results

    def _roll_back(self) -> None:
        self._transaction.forget()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _deliver(self, results: list[tuple[_Ticket, object]]) -> None:
        for job, result in results:
            if job.future.done():  # its request was cancelled; the commit stands
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        self._on_commit()

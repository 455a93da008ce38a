"""The one writer of a data folder.

Owns the writing connection, timestamps and the head. Never validates reads (the committer does) and
never reads documents. One invariant: what one `append` returns as applied is visible to every
snapshot begun afterwards, all of it or, when it raises, none of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from pyconvex.storage import pending, retention
from pyconvex.storage.applying import BAD_PROPOSAL, apply_proposal
from pyconvex.storage.checkpoint import Checkpointer
from pyconvex.storage.durability import Durability, SyncCall, sync_data
from pyconvex.storage.errors import FolderRefused, failure_of
from pyconvex.storage.folder import DataFolder, log_path, sync_folder
from pyconvex.storage.layout import open_writer
from pyconvex.storage.model import (
    FIRST_DATA_TABLET,
    Appended,
    AppendOutcome,
    Head,
    Position,
    Proposal,
    QueueStats,
    Rejected,
    Replayed,
)
from pyconvex.storage.queues import QueueBounds, Queues
from pyconvex.storage.reader import Reader


class Store:
    """A data folder, opened for writing by this process alone until `close()`.

    Call it from one thread, except `copy_log`, `restart_log` and `wait_durable_blocking`. Commits
    are visible at once and durable when `wait_durable` says so. Raises `FolderRefused` at opening
    and `StorageFailure` afterwards.

        store = Store.open(Path("data"))
        [outcome] = store.append([proposal])
        await store.wait_durable(outcome.ts)
    """

    def __init__(
        self, folder: DataFolder, clock_ns: Callable[[], int], sync: SyncCall, bounds: QueueBounds
    ) -> None:
        self._folder = folder
        self._clock_ns = clock_ns
        self._db = open_writer(folder.database)
        ts, catalog_ts = self._db.execute("SELECT ts, catalog_ts FROM head").get
        self._head = Head(ts, catalog_ts)
        last_place = self._db.execute("SELECT max(place) FROM revisions").get
        self._next_ts = max(ts, last_place or 0) + 1
        self._queues = Queues(self._db, bounds)
        self._log_fd = os.open(log_path(folder.database), os.O_RDWR | os.O_CLOEXEC)
        sync(self._log_fd)  # a killed predecessor may have left commits that are not durable yet
        for made in (folder.path, folder.path.parent):
            sync_folder(made)
        self._durability = Durability(self._log_fd, sync, ts)
        self._checkpointer = Checkpointer(folder.database, self._durability.fail)
        self._db.set_wal_hook(self._observe_log)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        sync: SyncCall = sync_data,
        bounds: QueueBounds | None = None,
    ) -> Store:
        """Lock the folder, create or check its database, and make what is in it durable."""
        folder = DataFolder.lock(path)
        try:
            return cls(folder, clock_ns, sync, bounds or QueueBounds())
        except FolderRefused:
            folder.release()
            raise
        except (apsw.Error, OSError) as error:
            folder.release()
            raise failure_of(error, f"opening the data folder {path}") from error

    @property
    def database(self) -> Path:
        """The file that `Reader` opens."""
        return self._folder.database

    @property
    def head(self) -> Head:
        """The newest commit."""
        return self._head

    @property
    def visible_ts(self) -> int:
        return self._head.ts

    @property
    def durable_ts(self) -> int:
        return self._durability.durable_ts

    def reader(self) -> Reader:
        """A new reader of this store's snapshots."""
        return Reader(self._folder.database)

    def append(self, proposals: Sequence[Proposal]) -> list[AppendOutcome]:
        """Apply all proposals in one transaction, each at its own, later timestamp.

        Documents that wait for the timestamp of their commit get it. A proposal that contradicts
        what is stored is `Rejected`, one whose request was answered before is `Replayed`; neither
        disturbs its neighbours. On `StorageFailure` none was applied.
        """
        outcomes: list[AppendOutcome] = []
        head = self._head
        with self._transaction("a commit") as ts:
            for proposal in proposals:
                outcome = self._apply(ts, proposal)
                outcomes.append(outcome)
                if isinstance(outcome, Appended):
                    registry = any(write.tablet < FIRST_DATA_TABLET for write in proposal.writes)
                    head = Head(ts, ts if registry else head.catalog_ts)
                    ts += max(len(proposal.writes), 1)  # revisions stand at ts + seq
            if head is not self._head:
                self._move_head(head, next_ts=ts)
        return outcomes

    def acknowledge(self, queue: int, through: Position) -> int:
        """Delete a queue's rows up to and including `through`.

        Returns a timestamp: once it is durable, no crash brings the rows back.
        """
        with self._transaction("acknowledging queue rows") as ts:
            self._queues.acknowledge(queue, through)
            self._move_head(Head(ts, self._head.catalog_ts), next_ts=ts + 1)
        return ts

    def set_aside(self, queue: int, position: Position, reason: str) -> int:
        """Take one row out of a queue and keep it with its reason; returns a timestamp as
        `acknowledge` does."""
        with self._transaction("setting a queue row aside") as ts:
            self._queues.set_aside(queue, position, reason)
            self._move_head(Head(ts, self._head.catalog_ts), next_ts=ts + 1)
        return ts

    def put_back(self, queue: int, positions: Sequence[Position]) -> tuple[int, int, int]:
        """Move rows that were set aside to the end of their queue, in one transaction.

        Returns a timestamp as `acknowledge` does, how many rows went, and how many stay set aside
        because the queue is full. A row is always in one of both places, never in none or both.
        """
        with self._transaction("putting queue rows back") as ts:
            moved, left = self._queues.put_back(queue, ts, positions)
            self._move_head(Head(ts, self._head.catalog_ts), next_ts=ts + 1)
        return ts, moved, left

    def discard(self, queue: int, positions: Sequence[Position]) -> tuple[int, int]:
        """Forget rows that were set aside; a timestamp as `acknowledge` returns, and how many."""
        with self._transaction("discarding queue rows") as ts:
            gone = self._queues.discard(queue, positions)
            self._move_head(Head(ts, self._head.catalog_ts), next_ts=ts + 1)
        return ts, gone

    def queue_stats(self, queue: int) -> QueueStats:
        return self._queues.stats(queue)

    def sweep(self) -> bool:
        """Forget a bounded number of rows past their retention; True when there may be more."""
        now_ns = self._clock_ns()
        if not retention.has_work(self._db, now_ns):
            return False
        with self._transaction("forgetting old rows") as ts:
            more = retention.sweep(self._db, now_ns)
            self._move_head(Head(ts, self._head.catalog_ts), next_ts=ts + 1)
        return more

    async def wait_durable(self, ts: int) -> None:
        """Return once everything up to `ts` survives a power cut."""
        await self._durability.wait(ts)

    def wait_durable_blocking(self, ts: int, timeout_s: float | None = None) -> None:
        """As `wait_durable`, for threads and tests."""
        self._durability.wait_blocking(ts, timeout_s)

    def checkpoint_if_due(self, *, idle: bool) -> bool:
        """Copy the log in the background if it grew long; returns at once."""
        return self._durability.failure is None and self._checkpointer.run_if_due(idle=idle)

    @property
    def log_must_restart(self) -> bool:
        """True when the log is so long that commits should pause for `restart_log`."""
        return self._checkpointer.must_restart

    @property
    def log_is_urgent(self) -> bool:
        """True when the log is so long that it must not grow much more."""
        return self._checkpointer.is_urgent

    def when_log_is_urgent(self, callback: Callable[[], None]) -> None:
        """Have `callback` called by the commit after which `log_is_urgent`; it returns at once."""
        self._checkpointer.on_urgent = callback

    @property
    def log_pages(self) -> int:
        return self._checkpointer.pages

    def copy_log(self) -> None:
        """Copy what the log has into the database; blocking, while commits go on, so that little
        is left for `restart_log`.
        """
        self._checkpointer.copy()

    def restart_log(self, timeout_s: float = 1.0) -> bool:
        """Begin the log anew; blocking, so call it off the event loop, while no commit is made.

        Waits for snapshots that are open; new ones may begin. False when one stayed open for all of
        `timeout_s`.
        """
        return self._checkpointer.restart(timeout_s)

    def close(self) -> None:
        """Make everything durable, fold the log into the database and release the folder."""
        self._durability.close()
        if self._durability.failure is not None:
            # The log may be the only true copy: leave it for recovery to judge.
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._checkpointer.close()
        self._db.set_wal_hook(None)
        self._db.close()
        os.close(self._log_fd)
        self._folder.release()

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[int]:
        """One engine transaction; gives the first timestamp that it may use."""
        if self._durability.failure is not None:
            raise self._durability.failure
        before = self._head, self._next_ts
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield max(self._next_ts, self._clock_ns())
            self._queues.write_levels()
            self._db.execute("COMMIT")
        except BaseException as error:
            self._head, self._next_ts = before
            self._roll_back()
            if isinstance(error, apsw.Error | OSError):
                raise failure_of(error, doing) from error
            raise
        self._queues.settle()
        if self._head is not before[0]:
            self._durability.publish(self._head.ts)

    def _apply(self, ts: int, proposal: Proposal) -> AppendOutcome:
        if (replay := proposal.replay) is not None:
            sql = "SELECT ts, result FROM replays WHERE session_id = ? AND request_id = ?"
            stored = self._db.execute(sql, (replay.session_id, replay.request_id)).get
            if stored is not None:
                return Replayed(*stored)
        if pending.waits(proposal.writes):
            settled = pending.settled(proposal.writes, ts)
            proposal = msgspec.structs.replace(proposal, writes=settled)
        self._db.execute("SAVEPOINT proposal")
        try:
            apply_proposal(self._db, ts, proposal)
            levels = self._queues.append(ts, proposal.appends)
        except BAD_PROPOSAL as error:
            self._db.execute("ROLLBACK TO proposal")
            self._db.execute("RELEASE proposal")
            return Rejected(str(error))
        self._db.execute("RELEASE proposal")
        dropped = self._queues.dropped_by(levels)
        self._queues.stage(levels)
        return Appended(ts, dropped)

    def _move_head(self, head: Head, next_ts: int) -> None:
        self._db.execute("UPDATE head SET ts = ?, catalog_ts = ?", (head.ts, head.catalog_ts))
        self._head, self._next_ts = head, next_ts

    def _roll_back(self) -> None:
        self._queues.forget()
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error as error:
            self._durability.fail(failure_of(error, "undoing a failed commit"))

    def _observe_log(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._checkpointer.observe(pages)
        return apsw.SQLITE_OK

"""The store as the rest of the server sees it: submit work, read, wait for changes.

Owns the parts' life: writer, views, and the flag book that follows the flags' table. Never knows
HTTP. `reader` is for facts that take microseconds, on the event loop; whatever lists, searches or
gathers is asked with `read`, which leaves the loop alone. Made inside a running event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from posthog_local.flags.book import FlagBook
from posthog_local.ingest.event import IncomingEvent
from posthog_local.ingest.warning import Note
from posthog_local.logs.record import LogRecord
from posthog_local.replay.snapshot import RecordingPiece
from posthog_local.store import shelves
from posthog_local.store.changes import Changes
from posthog_local.store.folder import Folder
from posthog_local.store.reader import EventFilter, Reader, StoredEvent
from posthog_local.store.retention import Limits, sweep_step
from posthog_local.store.transaction import Transaction
from posthog_local.store.views import View, Views
from posthog_local.store.writer import Job, Writer

T = TypeVar("T")


class Store:
    """Everything the server keeps."""

    def __init__(self, folder: Folder) -> None:
        self.changes = Changes()
        self._writer = Writer(folder, self.changes.announce)
        self._connection = folder.connect_reader()
        self.reader = Reader(self._connection)
        self._views = Views(folder)
        self.flags = FlagBook(*shelves.flags.load(self._connection))

    async def read(self, question: Callable[[View], T]) -> T:
        """What `question` answers from one commit, on a thread of its own."""
        return await self._views.read(question)

    async def add_events(self, events: Sequence[IncomingEvent], notes: Sequence[Note] = ()) -> None:
        """Returns when all are on disk; an event that was there already stays as it is."""

        def job(transaction: Transaction) -> None:
            for event in events:
                shelves.events.ingest(transaction, event)
            for note in notes:
                shelves.warnings.add(transaction.connection, note)

        await self._writer.submit(job)

    async def add_logs(self, records: Sequence[LogRecord], notes: Sequence[Note] = ()) -> None:
        """Returns when all of them are on disk."""
        append = shelves.logs.append(records)

        def job(transaction: Transaction) -> None:
            append(transaction)
            for note in notes:
                shelves.warnings.add(transaction.connection, note)

        await self._writer.submit(job)

    async def add_notes(self, notes: Sequence[Note]) -> None:
        """Returns when these warnings are on disk."""
        await self.add_events((), notes)

    async def add_recording(self, piece: RecordingPiece) -> None:
        """Returns when the piece is on disk."""
        await self._writer.submit(shelves.recordings.append(piece))

    async def change(self, job: Job[T]) -> T:
        """Runs a job of a shelf; when it returns, what it wrote is on disk."""
        return await self._writer.submit(job)

    async def change_flags(self, job: Job[T]) -> T:
        """Runs a job of `shelves.flags`; when it returns, the new definitions are in force."""
        result = await self._writer.submit(job)
        self.flags = FlagBook(*shelves.flags.load(self._connection))
        return result

    def hash_keys(self, distinct_ids: Sequence[str]) -> dict[str, str]:
        """Flag key to what to bucket by, for the persons with these ids."""
        return shelves.flags.hash_keys(self._connection, distinct_ids)

    async def keep_hash_keys(self, distinct_id: str, hash_keys: Mapping[str, str]) -> None:
        """Notes what to bucket a person by from now on."""
        await self._writer.submit(shelves.flags.keep_hash_keys(distinct_id, hash_keys))

    async def change_issue(self, issue_id: str, changes: Mapping[str, str]) -> bool:
        """Changes an issue's status, name or description; false when there is no such issue."""
        return await self._writer.submit(
            lambda transaction: shelves.issues.change(transaction.connection, issue_id, changes)
        )

    async def delete_person(self, person_id: str, *, with_events: bool) -> bool:
        """Deletes a person, with their events if asked; false when there is none."""
        return await self._writer.submit(shelves.persons.delete(person_id, with_events=with_events))

    async def sweep(self, limits: Limits, now_us: int) -> int:
        """Drops what is beyond the limits, in small portions; gives the number of rows."""
        total = 0
        while dropped := await self._writer.submit(sweep_step(limits, now_us)):
            total += dropped
        return total

    async def reset(self, *, keep_flags: bool) -> None:
        """Empties the project."""
        await self.change_flags(lambda transaction: transaction.reset(keep_flags=keep_flags))

    async def wait_for_events(
        self, wanted: EventFilter, *, count: int, limit: int, wait_s: float
    ) -> list[StoredEvent]:
        """Matching events as soon as `count` are there, or what is there once `wait_s` is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            seen = self.changes.version
            found = await self.read(lambda view: view.events.events(wanted, limit))
            left = deadline - loop.time()
            if len(found) >= count or left <= 0 or self.changes.closed:
                return found
            await self.changes.wait(seen, left)

    async def close(self) -> None:
        """Wakes who waits, commits what was accepted, and closes the files."""
        self.changes.close()
        await self._writer.close()
        await self._views.close()
        self._connection.close()

"""Questions that take longer than the event loop may stand still: asked on threads of their own.

Owns a few read-only connections, each used by one thread at a time. Never writes. Invariant: all
that one question reads comes from one commit, and ingestion goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from posthog_local.store.folder import Folder
from posthog_local.store.reader import Reader
from posthog_local.store.shelves.issues import IssueReader
from posthog_local.store.shelves.logs import LogReader
from posthog_local.store.shelves.persons import PersonList
from posthog_local.store.shelves.recordings import RecordingReader

T = TypeVar("T")
# One slow page must not keep the others waiting; more threads would only fight for the interpreter.
_THREADS = 3


class View:
    """Everything that can be read, as of one commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.events = Reader(connection)
        self.logs = LogReader(connection)
        self.issues = IssueReader(connection)
        self.recordings = RecordingReader(connection)
        self.persons = PersonList(connection)


class Views:
    """Hands out views to questions; `close` waits for those that are being answered."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._idle: queue.SimpleQueue[View] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="view")

    async def read(self, question: Callable[[View], T]) -> T:
        """What `question` answers, run on a thread; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, question)

    async def close(self) -> None:
        """Returns when no thread reads any more and every file is closed."""
        await asyncio.to_thread(self._threads.shutdown)
        while not self._idle.empty():
            self._idle.get().connection.close()

    def _ask(self, question: Callable[[View], T]) -> T:
        view = self._take()
        try:
            view.connection.execute("BEGIN")
            return question(view)
        finally:
            if view.connection.in_transaction:
                view.connection.execute("COMMIT")
            self._idle.put(view)

    def _take(self) -> View:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return View(self._folder.connect_reader())

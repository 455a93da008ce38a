"""When the log is copied into the database file, and when it starts over.

Owns the rule and the thread that follows it, with a connection of its own so that nobody else waits
for its syncs. Never decides that readers pause: it says that they should. One invariant: a
checkpoint always syncs the log first and the database last, so a power cut loses nothing durable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from pyconvex.storage.errors import StorageFailure, failure_of
from pyconvex.storage.layout import PAGE_BYTES, open_checkpointer

IDLE_PAGES = 2_000  # 8 MB: below, copying costs more syncs than the short log saves at restart
BUSY_PAGES = 8_000  # 32 MB: leaves time to copy before the log must restart
RESTART_PAGES = 64 * 1024 * 1024 // PAGE_BYTES  # 64 MB: beyond, readers slow down page by page
URGENT_PAGES = 3 * RESTART_PAGES  # 192 MB: leaves one group of commits, and then some, below 256


class Checkpointer:
    """Copies the log in the background.

    `observe(pages)` after each commit, `run_if_due(idle)` whenever the caller has a moment (it
    returns at once). When `must_restart`: `copy()` while commits go on, then `restart(timeout_s)`
    while they pause.
    """

    def __init__(self, database: Path, on_failure: Callable[[StorageFailure], None]) -> None:
        self._database = database
        self._on_failure = on_failure
        self._pages = 0
        self._copied_pages = 0
        self._using = threading.Lock()  # held while the connection is in use, by either thread
        self._thread: threading.Thread | None = None
        #: Told, by whoever commits, that the log has become urgent.
        self.on_urgent: Callable[[], None] = lambda: None
        self._db = open_checkpointer(database)

    @property
    def pages(self) -> int:
        """The log's length at the last commit."""
        return self._pages

    @property
    def must_restart(self) -> bool:
        return self._pages > RESTART_PAGES

    @property
    def is_urgent(self) -> bool:
        return self._pages > URGENT_PAGES

    def observe(self, pages: int) -> None:
        if pages < self._pages:  # the last commit began the log anew
            self._copied_pages = 0
        became_urgent = self._pages <= URGENT_PAGES < pages
        self._pages = pages
        if became_urgent:
            self.on_urgent()

    def run_if_due(self, *, idle: bool) -> bool:
        """Start a passive checkpoint in the background if one is worth its syncs."""
        due = self._pages - self._copied_pages >= (IDLE_PAGES if idle else BUSY_PAGES)
        if not due or self._using.locked():
            return False
        self._thread = threading.Thread(target=self._copy, name="checkpoint", daemon=True)
        self._thread.start()
        return True

    def copy(self) -> None:
        """Copy what snapshots allow, so that little is left for `restart`; blocking."""
        self._copy()

    def restart(self, timeout_s: float) -> bool:
        """Copy everything and let the next commit begin the log anew.

        Waits up to `timeout_s` for readers of older snapshots; False when one of them stayed.
        Blocking: call it off the event loop, while no commit is made.
        """
        with self._using:
            self._db.set_busy_timeout(int(timeout_s * 1000))
            try:
                pages, copied = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.BusyError:
                return False
            except apsw.Error as error:
                raise self._failed(error) from error
            if pages != copied:
                return False
            self._pages = self._copied_pages = 0
            return True

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._db.close()

    def _copy(self) -> None:
        with self._using:
            try:
                _, copied = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except (apsw.BusyError, apsw.LockedError, apsw.FullError):
                return  # nothing is lost: the log still has it, and a later run tries again
            except apsw.Error as error:
                self._failed(error)
                return
            self._copied_pages = max(copied, 0)

    def _failed(self, error: apsw.Error) -> StorageFailure:
        failure = failure_of(error, "copying the log into the database")
        if isinstance(error, apsw.IOError):
            self._on_failure(failure)  # a failed sync may hide behind it: see durability.py
        return failure

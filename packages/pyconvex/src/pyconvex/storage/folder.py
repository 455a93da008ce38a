"""The data folder: where its files are and which process may use them.

Owns the lock that a server holds for life, and the file names. Never opens the database. One
invariant: two servers never hold one folder, also when the first one hangs.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pyconvex.storage.errors import FolderRefused

DATABASE_NAME = "data.sqlite3"
LOCK_NAME = "lock"


class DataFolder:
    """A locked data folder.

    `DataFolder.lock(path)` creates the folder when it is missing and raises `FolderRefused`,
    naming the holder's process, when another has it. The lock ends with `release()` or the process.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd: int | None = lock_fd

    @classmethod
    def lock(cls, path: Path) -> DataFolder:
        try:
            path.mkdir(parents=True, exist_ok=True)
            fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FolderRefused(f"The data folder {path} cannot be used: {error}.") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise FolderRefused(
                f"The data folder {path} is in use by process {holder}. "
                "Stop that process first, or choose another folder."
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(path, fd)

    @property
    def database(self) -> Path:
        return database_path(self.path)

    def remove(self) -> None:
        """Leave no trace of the lock in the folder; for one that holds nothing else."""
        (self.path / LOCK_NAME).unlink(missing_ok=True)

    def release(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def database_path(folder: Path) -> Path:
    """The database file of a data folder."""
    return folder / DATABASE_NAME


def log_path(database: Path) -> Path:
    """The write-ahead log beside a database file."""
    return database.with_name(database.name + "-wal")


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries (new files) durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

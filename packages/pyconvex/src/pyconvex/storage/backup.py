"""Copies of a data folder's database, made while its server runs, and folders made from copies.

Owns the one-file form of a backup: documents, revisions, queues and replay records of one snapshot.
Never writes to the folder that it copies. One invariant: what stands under a backup's name, or as a
folder's database, is whole, checked and durable; until then it has another name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from pyconvex.storage.errors import FolderRefused, failure_of
from pyconvex.storage.folder import DataFolder, database_path, log_path, sync_folder
from pyconvex.storage.layout import check_format, open_reader

#: Pages copied between two calls of `on_progress`: 16 MB.
STEP_PAGES = 4_096


class BackupRefused(Exception):
    """There is nothing to copy, or no place for the copy; the message says which."""


class Backup(msgspec.Struct, frozen=True):
    """A copy: where it is, the last commit in it, and its size."""

    path: Path
    ts: int
    bytes: int


def back_up(
    folder: Path, target: Path, on_progress: Callable[[float], None] = lambda share: None
) -> Backup:
    """Copy the newest commit of the data folder `folder` into the new file `target`.

    The folder's server may run and commit meanwhile. `on_progress` gets the share that is copied.
    Raises `BackupRefused` when `target` exists or the folder holds no data, `FolderRefused` when
    its format is not ours, and `StorageFailure` when the disk fails; `target` is not made then.
    """
    source_path = database_path(folder)
    if not source_path.exists():
        raise BackupRefused(f"{folder} holds no data: {source_path.name} is not there.")
    if target.exists():
        raise BackupRefused(f"{target} exists already; it was left as it is. Choose another name.")
    with (
        _opened(source_path) as source,
        _made_whole(target, f"copying {folder}") as unfinished,
    ):
        ts = _copy(source, unfinished, on_progress)
        _check_copy(unfinished, ts)
    return Backup(target, ts, target.stat().st_size)


def restore(
    backup: Path,
    folder: Path,
    *,
    clock_ns: Callable[[], int] = time.time_ns,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Backup:
    """Make the data folder `folder` from a copy; it must be empty or not be there.

    Its first timestamp lies behind every one that was given out before now, so that clients which
    knew the original are never shown an earlier one, and its revisions count as forgotten, so that
    who followed those of the original begins anew. Raises as `back_up` does, and `FolderRefused`
    for a folder that holds something.
    """
    if not backup.is_file():
        raise BackupRefused(f"There is no backup at {backup}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderRefused(
            f"{folder} is not empty; it was left as it is. Restore into a new folder, then start "
            "the server with that."
        )
    with (
        _opened(backup) as source,
        _locked(folder) as database,
        _made_whole(database, f"restoring {backup}") as unfinished,
    ):
        ts = _copy(source, unfinished, on_progress)
        _check_copy(unfinished, ts)
        ts = _move_head_to_now(unfinished, clock_ns())
    return Backup(database, ts, database.stat().st_size)


@contextmanager
def _opened(database: Path) -> Iterator[apsw.Connection]:
    """A connection that reads a database of ours."""
    try:
        db = open_reader(database)
    except apsw.NotADBError as error:
        raise FolderRefused(f"{database} is not a database; it was left as it is.") from error
    except apsw.Error as error:
        raise failure_of(error, f"opening {database}") from error
    try:
        check_format(db, database)
        yield db
    finally:
        db.close()


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The database's place in a folder that no server may use meanwhile; empty again on failure."""
    lock = DataFolder.lock(folder)
    try:
        yield lock.database
        sync_folder(folder.parent)
    except BaseException:
        lock.remove()
        raise
    finally:
        lock.release()


@contextmanager
def _made_whole(target: Path, doing: str) -> Iterator[Path]:
    """A name to write under; what stands there gets `target`'s name if the block succeeds."""
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(unfinished)  # left by a run that was killed
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(target)
        sync_folder(target.parent)
    except (apsw.Error, OSError) as error:
        raise failure_of(error, doing) from error
    finally:
        _remove(unfinished)


def _remove(database: Path) -> None:
    for path in (database, log_path(database), database.with_name(database.name + "-shm")):
        path.unlink(missing_ok=True)


def _copy(source: apsw.Connection, target: Path, on_progress: Callable[[float], None]) -> int:
    """Copy one snapshot, page by page; returns its newest timestamp."""
    copy = apsw.Connection(str(target))
    try:
        copy.execute("PRAGMA journal_mode=OFF")  # an unfinished copy is of no use anyway
        copy.execute("PRAGMA synchronous=OFF")  # it is synced once, whole
        source.execute("BEGIN")  # else every commit meanwhile would begin the copy anew
        ts: int = source.execute("SELECT ts FROM head").get
        with copy.backup("main", source, "main") as pages:
            while not pages.done:
                pages.step(STEP_PAGES)
                on_progress(1 - pages.remaining / max(pages.page_count, 1))
        source.execute("ROLLBACK")
    finally:
        copy.close()
    return ts


def _check_copy(target: Path, ts: int) -> None:
    copy = apsw.Connection(str(target))
    try:
        found = copy.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise apsw.CorruptError(f"the copy is damaged: {found[0][0]}")
        if copy.execute("SELECT ts FROM head").get != ts:
            raise apsw.CorruptError("the copy is of another commit")
    finally:
        copy.close()
    _remove_log(target)


def _move_head_to_now(target: Path, now_ns: int) -> int:
    copy = apsw.Connection(str(target))
    try:
        copy.execute("UPDATE head SET ts = max(ts + 1, ?)", (now_ns,))
        # What happened between the copy and now is not in it: nobody may go on from there.
        copy.execute("UPDATE head SET revisions_from = ts + 1")
        ts: int = copy.execute("SELECT ts FROM head").get
    finally:
        copy.close()
    _remove_log(target)
    return ts


def _remove_log(target: Path) -> None:
    """Closing folds the log into the file; what is left of it must not meet another name."""
    for path in (log_path(target), target.with_name(target.name + "-shm")):
        path.unlink(missing_ok=True)

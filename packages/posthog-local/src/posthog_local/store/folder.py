"""The data folder: its lock, its keys, and the SQLite connections to what is in it.

Owns where files lie and how connections are set up. Invariant: one process at a time has a folder
open, and a temporary folder is gone when it closes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import apsw
import msgspec

from posthog_local.store import schema

_DATABASE = "posthog.sqlite"
_KEYS = "keys.json"
_LOCK = "lock"
_IGNORE = ".gitignore"
_BUSY_TIMEOUT_MS = 10_000
# Pages of 4 KiB; a longer log lets more commits pass between the slow copies into the main file.
_CHECKPOINT_PAGES = 4_000
_CACHE_KIB = 64 * 1024


class FolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The project's credentials, made once and kept: public token, secret key, personal key."""

    project_token: str
    secret_key: str
    personal_api_key: str


class Folder:
    """An opened data folder; `close` releases it.

    Without a path the data is temporary: not synced to disk, and removed at `close`.
    """

    def __init__(self, path: Path | None) -> None:
        self.temporary = path is None
        self.path = Path(tempfile.mkdtemp(prefix="posthog-local-")) if path is None else path
        self._lock = _lock(self.path)

    def keys(self, project_token: str | None = None, secret_key: str | None = None) -> Keys:
        """The kept credentials, made at first use; the arguments replace what was kept."""
        file = self.path / _KEYS
        if file.exists():
            keys = _read_keys(file)
        else:
            keys = Keys(
                project_token="phc_" + secrets.token_urlsafe(24),
                secret_key="phs_" + secrets.token_urlsafe(24),
                personal_api_key="phx_" + secrets.token_urlsafe(24),
            )
        keys = msgspec.structs.replace(
            keys,
            project_token=project_token or keys.project_token,
            secret_key=secret_key or keys.secret_key,
        )
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            output.write(msgspec.json.encode(keys))
        return keys

    def connect_writer(self) -> apsw.Connection:
        """The one connection that writes; a commit on it returns once the log is synced."""
        connection = apsw.Connection(str(self.path / _DATABASE))
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "off" if self.temporary else "full")
        connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        connection.pragma("cache_size", -_CACHE_KIB)
        schema.prepare(connection)
        return connection

    def connect_reader(self) -> apsw.Connection:
        """A connection that sees every commit and cannot write."""
        connection = apsw.Connection(str(self.path / _DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("query_only", True)
        return connection

    def close(self) -> None:
        """Releases the lock; removes a temporary folder."""
        os.close(self._lock)
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)


def _read_keys(file: Path) -> Keys:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Keys)
    except (OSError, msgspec.MsgspecError) as error:
        raise FolderError(
            f"cannot read {file}: {error}. Delete it to make new keys; the data stays"
        ) from error


def _lock(path: Path) -> int:
    try:
        if not path.exists():
            path.mkdir(parents=True)
            (path / _IGNORE).write_text("*\n")  # keys lie here, often in somebody's repository
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderError(
            f"cannot use {path} as data folder: {error.strerror}. Choose another with --data"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise FolderError(
            f"another PostHog Local is using {path}. Stop it, or choose another folder with --data"
        ) from None
    return descriptor

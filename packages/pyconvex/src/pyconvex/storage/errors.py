"""What can go wrong on disk, as two exceptions with whole sentences.

Owns the translation of engine errors. Never lets an engine's own exception out of the room.
"""

from __future__ import annotations

import apsw


class StorageFailure(Exception):
    """The disk did not do what was asked. Nothing that was acknowledged is lost.

    A failed commit kept nothing of itself and may be tried again; after a failed sync the store
    refuses every later commit, because the system may have lost pages that it reports as clean.
    """


class FolderRefused(Exception):
    """The data folder cannot be opened by this process; the message says why and what to do."""


def failure_of(error: BaseException, doing: str) -> StorageFailure:
    """The one clear exception for an engine or system error met while `doing` something."""
    if isinstance(error, StorageFailure):
        return error
    if isinstance(error, apsw.FullError) or getattr(error, "errno", None) == 28:
        return StorageFailure(
            f"The disk is full: {doing} was not possible. What was acknowledged before is safe; "
            "free some space and try again."
        )
    return StorageFailure(
        f"The disk reported an error: {doing} was not possible ({type(error).__name__}: {error}). "
        "What was acknowledged before is safe."
    )

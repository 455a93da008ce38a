"""What a function can be told by its database.

Owns one exception with Convex's short codes and texts. Never used for the disk's troubles, which
are `pyconvex.storage.StorageFailure`.
"""

from __future__ import annotations


class DatabaseError(Exception):
    """A read or write that Convex refuses. Functions may catch it; its transaction goes on.

    `code` is Convex's short name for it, the text is Convex's own where it has one.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

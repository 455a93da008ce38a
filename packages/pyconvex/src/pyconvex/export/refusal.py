"""The one error of an export: a request that is answered with a status, Convex's code, a sentence.

Owns the class alone. One invariant: its message holds nothing of a document.
"""

from __future__ import annotations


class ExportRefused(Exception):
    """Why there is no page; nothing has moved, and the same cursor may be used again."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

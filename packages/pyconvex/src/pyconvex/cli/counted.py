"""Numbers of things in sentences. Owns the plural."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "file"), counted(0, "file")
    ('1 file', '0 files')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Passwords: their hashes, and what they must be.

Owns Argon2 and its cost. Never keeps a password. One invariant: checking takes as long for an
account that does not exist as for one that does.
"""

from __future__ import annotations

import asyncio
import threading

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

#: OWASP's least costly choice: 19 MiB and two passes, some 20 ms, so that a few people can sign in
#: at the same time on a small machine.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: Of somebody who is not there: a hash at the same cost, of a password that nobody has.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$Y2FuIG5vdCBtYXRjaCEhIQ$" + "A" * 43
#: At least (NIST SP 800-63B), and at most, since more would only cost time.
MIN_CHARS = 8
MAX_CHARS = 1024
#: Hashes that one isolate computes at a time; each takes a processor and its memory.
_TURNS = threading.Semaphore(2)


def mistake(password: str) -> str | None:
    """What is wrong with a password that somebody chooses; None when nothing is.

    >>> mistake("correct horse"), mistake("short")
    (None, 'A password has at least 8 characters.')
    """
    if len(password) < MIN_CHARS:
        return f"A password has at least {MIN_CHARS} characters."
    return None


async def hashed(password: str) -> str:
    """The hash to store."""
    return await asyncio.to_thread(_hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether this is the password of a stored hash; of None, nothing is."""
    if len(password) > MAX_CHARS:
        return False
    return await asyncio.to_thread(_verify, stored or _NOBODY, password) and stored is not None


def is_outdated(stored: str) -> bool:
    """Whether a hash was made at another cost than today's, and should be made anew."""
    try:
        return _HASHER.check_needs_rehash(stored)
    except InvalidHashError:
        return True


def _hash(password: str) -> str:
    with _TURNS:
        return _HASHER.hash(password)


def _verify(stored: str, password: str) -> bool:
    try:
        with _TURNS:
            return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False

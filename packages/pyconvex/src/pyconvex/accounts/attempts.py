"""How often somebody may try a password.

Owns the counters. Never knows whether an attempt succeeded until it is told. One invariant: an
attempt is paid for before the password is looked at, so that many at once get no more.
"""

from __future__ import annotations

import hashlib
import time

from pyconvex.accounts.tables import RATE_LIMITS
from pyconvex.functions import DatabaseWriter

#: Failed attempts in an hour, for each account, there or not (the official library's number).
PER_HOUR = 10
_HOUR_MS = 3_600_000.0
#: Counters of long ago that a new one clears away.
_MAX_CLEARED = 4


def identifier_of(provider: str, account_id: str) -> str:
    """Under which name attempts are counted: people type all sorts of things as their e-mail."""
    return hashlib.sha256(f"{provider}|{account_id}".encode()).hexdigest()


async def take_attempt(db: DatabaseWriter, identifier: str) -> bool:
    """Pay for one attempt; False when there is none left."""
    now_ms = time.time() * 1000
    counter = await db.query(RATE_LIMITS).with_index("identifier", identifier=identifier).first()
    if counter is None:
        await _clear(db, now_ms)
        await db.insert(
            RATE_LIMITS,
            {
                "identifier": identifier,
                "lastAttemptTime": now_ms,
                "attemptsLeft": float(PER_HOUR - 1),
            },
        )
        return True
    elapsed_ms = max(0.0, now_ms - counter["lastAttemptTime"])
    left = min(float(PER_HOUR), counter["attemptsLeft"] + elapsed_ms * PER_HOUR / _HOUR_MS)
    if left < 1:
        return False
    await db.patch(counter["_id"], {"lastAttemptTime": now_ms, "attemptsLeft": left - 1})
    return True


async def forget_attempts(db: DatabaseWriter, identifier: str) -> None:
    """One succeeded: whoever knows the password may try as often as before."""
    counter = await db.query(RATE_LIMITS).with_index("identifier", identifier=identifier).first()
    if counter is not None:
        await db.delete(counter["_id"])


async def _clear(db: DatabaseWriter, now_ms: float) -> None:
    """Counters that are full again say nothing."""
    old = db.query(RATE_LIMITS).with_index("lastAttemptTime").lt(lastAttemptTime=now_ms - _HOUR_MS)
    for counter in await old.take(_MAX_CLEARED):
        await db.delete(counter["_id"])

"""Sessions and their refresh tokens, inside one mutation.

Owns when a refresh token counts. Never sees a secret, only hashes. One invariant: a refresh token
is good for one answer; who shows one again after its successor was used has it from elsewhere, and
the session ends for everybody.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec

from pyconvex.accounts.tables import REFRESH_TOKENS, SESSIONS, USERS
from pyconvex.accounts.tokens import is_hash_of
from pyconvex.functions import DatabaseWriter

#: How long a session lives, used or not, in milliseconds (the official library's numbers).
TOTAL_MS = 30 * 86_400_000.0
INACTIVE_MS = 30 * 86_400_000.0
#: How long a used refresh token gets another answer: tabs ask at the same time.
REUSE_MS = 10_000.0
#: Answers to one refresh token in that time: more tabs than come back together.
_MAX_TOGETHER = 8
#: Used tokens kept of one session, to know them again.
_MAX_USED = 32
#: Expired sessions of a user that one sign-in clears away.
_MAX_CLEARED = 8

_log = logging.getLogger("pyconvex.accounts")


class Opened(msgspec.Struct, frozen=True):
    """What makes a pair of tokens: the ids, to which the caller adds the secret."""

    user_id: str
    session_id: str
    token_id: str

    def as_value(self) -> dict[str, str]:
        """As a function returns it."""
        return {"userId": self.user_id, "sessionId": self.session_id, "tokenId": self.token_id}


async def open_session(db: DatabaseWriter, user_id: str, secret_hash: str) -> Opened:
    """Begin a session; what this user left behind long ago is cleared away."""
    now_ms = time.time() * 1000
    earlier = await db.query(SESSIONS).with_index("userId", userId=user_id).take(_MAX_CLEARED)
    for session in earlier:
        if session["expirationTime"] < now_ms:
            await close_session(db, session["_id"])
    session_id = await db.insert(SESSIONS, {"userId": user_id, "expirationTime": now_ms + TOTAL_MS})
    token_id = await _insert_token(db, session_id, now_ms + TOTAL_MS, secret_hash, None)
    return Opened(user_id, session_id, token_id)


async def close_session(db: DatabaseWriter, session_id: str) -> None:
    """End a session: no refresh token of it counts any more."""
    for token in await _tokens(db, session_id):
        await db.delete(token["_id"])
    if await db.get(SESSIONS, session_id) is not None:
        await db.delete(session_id)


async def close_sessions(db: DatabaseWriter, user_id: str) -> None:
    """End every session of a user."""
    for session in await db.query(SESSIONS).with_index("userId", userId=user_id).collect():
        await close_session(db, session["_id"])


async def refresh_session(
    db: DatabaseWriter, token_id: str, session_id: str, secret_hash: str, new_secret_hash: str
) -> Opened | None:
    """Take a refresh token and give its successor; None when it doesn't count."""
    now_ms = time.time() * 1000
    token, session = await _find(db, token_id, session_id)
    if token is None or session is None or not is_hash_of(token["secretHash"], secret_hash):
        return None
    expired = min(token["expirationTime"], session["expirationTime"]) < now_ms
    if expired or await db.get(USERS, session["userId"]) is None:
        await close_session(db, session_id)
        return None
    if not await _counts(db, token, now_ms):
        _log.warning(
            "A refresh token was shown again, too late or too often: session %s is ended.",
            session_id,
        )
        await close_session(db, session_id)
        return None
    if "firstUsedTime" not in token:
        await db.patch(token_id, {"firstUsedTime": now_ms})
    await _forget_oldest(db, session_id)
    expires_ms = session["expirationTime"]
    new_id = await _insert_token(db, session_id, expires_ms, new_secret_hash, token_id)
    return Opened(session["userId"], session_id, new_id)


async def _counts(db: DatabaseWriter, token: dict[str, Any], now_ms: float) -> bool:
    used_ms = token.get("firstUsedTime")
    if used_ms is None:
        return True
    children = await (
        db.query(REFRESH_TOKENS)
        .with_index(
            "sessionIdAndParentRefreshTokenId",
            sessionId=token["sessionId"],
            parentRefreshTokenId=token["_id"],
        )
        .collect()
    )
    if now_ms <= used_ms + REUSE_MS:
        return len(children) < _MAX_TOGETHER
    if any("firstUsedTime" in child for child in children) or not children:
        return False
    # The answer got lost on its way. Whoever holds it nevertheless can't use it any more.
    for child in children:
        await db.delete(child["_id"])
    return True


async def _find(
    db: DatabaseWriter, token_id: str, session_id: str
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if db.normalize_id(REFRESH_TOKENS, token_id) is None:
        return None, None
    token = await db.get(token_id)
    if token is None or token["sessionId"] != session_id:
        return None, None
    return token, await db.get(session_id)


async def _forget_oldest(db: DatabaseWriter, session_id: str) -> None:
    tokens = await _tokens(db, session_id)
    used = [token for token in tokens if "firstUsedTime" in token]
    for token in used[:-_MAX_USED]:
        await db.delete(token["_id"])


async def _tokens(db: DatabaseWriter, session_id: str) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = (
        await db.query(REFRESH_TOKENS).with_index("sessionId", sessionId=session_id).collect()
    )
    return tokens


async def _insert_token(
    db: DatabaseWriter,
    session_id: str,
    session_ends_ms: float,
    secret_hash: str,
    parent: str | None,
) -> str:
    expires_ms = min(time.time() * 1000 + INACTIVE_MS, session_ends_ms)
    fields: dict[str, Any] = {
        "sessionId": session_id,
        "expirationTime": expires_ms,
        "secretHash": secret_hash,
    }
    if parent is not None:
        fields["parentRefreshTokenId"] = parent
    return await db.insert(REFRESH_TOKENS, fields)

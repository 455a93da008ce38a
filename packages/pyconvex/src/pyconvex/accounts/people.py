"""Who of the app's own users calls.

Owns reading `user|session` out of an identity. One invariant: an identity of another issuer, whose
subjects name no session, is nobody here.
"""

from __future__ import annotations

from typing import Any

from pyconvex.functions import ActionCtx, QueryCtx
from pyconvex.functions.auth_config import SITE_URL, TEST_ISSUER
from pyconvex.values import Id

#: Between the id of a user and that of a session, in subjects and refresh tokens.
DIVIDER = "|"


async def get_auth_user_id(ctx: QueryCtx | ActionCtx) -> Id[Any] | None:
    """The id in `users` of the person who signed in at this deployment and calls; None for others.

    user_id = await get_auth_user_id(ctx)
    user = None if user_id is None else await ctx.db.get(user_id)
    """
    found = await _user_and_session(ctx)
    return None if found is None else Id(found[0])


async def get_auth_session_id(ctx: QueryCtx | ActionCtx) -> Id[Any] | None:
    """The id in `authSessions` of the session that calls; None for anybody else."""
    found = await _user_and_session(ctx)
    return None if found is None else Id(found[1])


async def _user_and_session(ctx: QueryCtx | ActionCtx) -> tuple[str, str] | None:
    identity = await ctx.auth.get_user_identity()
    if identity is None or identity.get("issuer") not in (ctx.env.get(SITE_URL), TEST_ISSUER):
        return None
    user, _, session = str(identity["subject"]).partition(DIVIDER)
    return (user, session) if user and session else None

"""The component's HTTP route: somebody says that flag definitions have changed.

Owns who may say so, and the second look. Never believes what a caller says of flags: it looks. One
invariant: without the secret in `POSTHOG_WEBHOOK_SECRET` nobody is asked anything.
"""

from __future__ import annotations

import hmac

from posthog_convex.component.settings import WEBHOOK_SECRET
from pyconvex import HttpActionCtx, Request, Response, http_router
from pyconvex.functions import api

#: PostHog tells of a change when it is made, and gives out the new definitions a moment later.
SECOND_LOOK_S = 10.0

http = http_router()


@http.route(path="/refresh-flags", method="POST")
async def refresh_flags(ctx: HttpActionCtx, request: Request) -> Response:
    """Look for newer definitions; when there are none yet, once more in a moment."""
    secret = (ctx.env.get(WEBHOOK_SECRET) or "").strip()
    if not secret:
        return _told(403, f"{WEBHOOK_SECRET} is not set, so nobody may ask. Set it first.")
    sent = request.headers.get("authorization", "")
    if not hmac.compare_digest(sent.encode(), f"Bearer {secret}".encode()):
        return _told(401, f"Send the value of {WEBHOOK_SECRET} as Authorization: Bearer VALUE.")
    found = await ctx.run_action(api.remote.reload)
    if found["status"] == "unchanged":
        await ctx.scheduler.run_after(SECOND_LOOK_S, api.remote.reload)
    return Response.json(found, status=200 if found["reason"] is None else 503)


def _told(status: int, text: str) -> Response:
    return Response(text + "\n", status=status)

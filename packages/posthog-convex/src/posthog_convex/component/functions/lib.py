"""Events on their way out.

Owns the queue's way in. Never builds events: the client did. One invariant: what is queued is one
JSON object that PostHog can attribute and deduplicate, so that no row can spoil a batch.
"""

from __future__ import annotations

import msgspec

from posthog_convex.component import EVENTS_QUEUE
from pyconvex import MutationCtx, mutation


class _Event(msgspec.Struct):
    uuid: str
    event: str
    distinct_id: str
    timestamp: str


_decoder = msgspec.json.Decoder(_Event)


@mutation
async def capture(ctx: MutationCtx, event: str) -> None:
    """Queue one event, given as its JSON text; it leaves if and when the transaction commits."""
    try:
        _decoder.decode(event)
    except msgspec.MsgspecError as error:
        raise ValueError(f"this is no event for PostHog: {error}") from None
    await ctx.enqueue(EVENTS_QUEUE, event)

"""How events are being delivered.

Owns the stored note. Never counts: the lane does. One invariant: what a note doesn't know of the
past, it takes over from the one before.
"""

from __future__ import annotations

import msgspec

from posthog_convex.component.delivery_lane import parse_note
from posthog_convex.component.functions.tables import DELIVERY
from posthog_convex.component.refresh import set_meta
from posthog_convex.component.rows import meta
from pyconvex import MutationCtx, QueryCtx, internal_mutation, internal_query


@internal_query
async def noted(ctx: QueryCtx) -> str | None:
    """The last note, as JSON text."""
    return await meta(ctx.db, DELIVERY)


@internal_mutation
async def note(ctx: MutationCtx, text: str) -> None:
    """Keep a note, given as JSON text, in place of the last."""
    before, found = parse_note(await meta(ctx.db, DELIVERY)), parse_note(text)
    last_error = found.last_error or before.last_error
    kept = msgspec.structs.replace(found, last_error=last_error)
    await set_meta(ctx.db, DELIVERY, kept.text())

"""How events are being delivered.

Owns the stored note. Never counts or compares: the lane does. One invariant: there is one note, the
last.
"""

from __future__ import annotations

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
    await set_meta(ctx.db, DELIVERY, text)

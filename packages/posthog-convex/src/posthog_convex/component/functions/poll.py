"""How the refresh of definitions and the delivery of events are doing.

Owns the note of a trouble and the answer to "how old are they?". Never refreshes. One invariant:
while refreshes succeed nothing is written, so an idle deployment stays idle.
"""

from __future__ import annotations

import time
from typing import Annotated, TypedDict

import msgspec

from posthog_convex.component.delivery_lane import parse_note
from posthog_convex.component.functions.tables import (
    CONTENTS,
    DELIVERY,
    SOURCE,
    TROUBLE,
    MetaRow,
)
from posthog_convex.component.refresh import Contents, Marker, Trouble, set_meta
from posthog_convex.component.rows import meta
from posthog_convex.component.settings import is_disabled, poll_interval_s
from pyconvex import MutationCtx, QueryCtx, internal_mutation, query
from pyconvex.functions import Arg


class Status(TypedDict):
    """How flags and events are doing; times are milliseconds since 1970."""

    #: fine, failing, not_loaded, no_key, disabled.
    poll: str
    flags: int
    cohorts: int
    #: When the stored definitions came, which were then new.
    fetched_at: float | None
    #: Until when they are known to have been PostHog's own; now, while all is fine.
    confirmed_at: float | None
    failing_since: float | None
    error: str | None
    interval_s: float
    #: Events: that wait, since when the first does, accepted by PostHog, set aside because nobody
    #: would take them, dropped because the queue was full.
    queued: int
    oldest: float | None
    sent: int
    failed: int
    dropped: int
    #: What is wrong with sending them now, and what was last.
    delivery_error: str | None
    last_error: str | None
    #: When they were counted.
    counted_at: float | None


@query
async def status(ctx: QueryCtx) -> Status:
    """How it goes; this runs again when definitions, variables, counts or trouble change."""
    source_text, contents = await meta(ctx.db, SOURCE), await meta(ctx.db, CONTENTS)
    source = msgspec.json.decode(source_text, type=Marker) if source_text else None
    kept = msgspec.json.decode(contents or "{}", type=Contents)
    text = await meta(ctx.db, TROUBLE)
    trouble = msgspec.json.decode(text, type=Trouble) if text else None
    note = parse_note(await meta(ctx.db, DELIVERY))
    poll = _poll(ctx, loaded=source is not None, failing=trouble is not None)
    return Status(
        poll=poll,
        flags=len(kept.flags),
        cohorts=len(kept.cohorts),
        fetched_at=source.fetched_at if source else None,
        confirmed_at=_confirmed_at(poll, source, trouble),
        failing_since=trouble.since if trouble else None,
        error=trouble.error if trouble else None,
        interval_s=poll_interval_s(ctx.env)[0],
        queued=note.queued,
        oldest=note.oldest,
        sent=note.sent,
        failed=note.failed,
        dropped=note.dropped,
        delivery_error=note.error,
        last_error=note.last_error,
        counted_at=note.at,
    )


@internal_mutation
async def failed(
    ctx: MutationCtx,
    kind: str,
    error: str,
    at: float,
    confirmed_at: Annotated[float | None, Arg("confirmedAt")],
) -> None:
    """Note that refreshes fail; what was noted of the same failures stays."""
    text = await meta(ctx.db, TROUBLE)
    if text is not None:
        before = msgspec.json.decode(text, type=Trouble)
        at, confirmed_at = before.since, before.confirmed_at
    elif confirmed_at is None:
        source = await meta(ctx.db, SOURCE)
        confirmed_at = msgspec.json.decode(source, type=Marker).fetched_at if source else None
    trouble = Trouble(kind, error, at, confirmed_at)
    await set_meta(ctx.db, TROUBLE, msgspec.json.encode(trouble).decode())


@internal_mutation
async def recovered(ctx: MutationCtx) -> None:
    """Note that refreshes succeed again."""
    row = await ctx.db.query(MetaRow).with_index("by_name", name=TROUBLE).unique()
    if row is not None:
        await ctx.db.delete(row._id)


def _poll(ctx: QueryCtx, *, loaded: bool, failing: bool) -> str:
    if is_disabled(ctx.env):
        return "disabled"
    if not (ctx.env.get("POSTHOG_PERSONAL_API_KEY") or "").strip():
        return "no_key"
    if failing:
        return "failing"
    return "fine" if loaded else "not_loaded"


def _confirmed_at(poll: str, source: Marker | None, trouble: Trouble | None) -> float | None:
    if source is None:
        return None
    if poll == "fine":
        return time.time() * 1000
    return trouble.confirmed_at if trouble is not None else source.fetched_at

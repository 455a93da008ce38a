"""What the npm component's `lib` has too: events on their way out, all definitions, a refresh.

Owns the queue's way in. Never builds events: the client did. One invariant: what is queued is one
JSON object that PostHog can attribute and deduplicate, so that no row can spoil a batch.
"""

from __future__ import annotations

import json
from typing import TypedDict

import msgspec

from posthog_convex.component import EVENTS_QUEUE
from posthog_convex.component.functions.remote import Reloaded, look_now
from posthog_convex.component.functions.tables import GROUP_TYPES, SOURCE, CohortRow, FlagRow
from posthog_convex.component.refresh import Marker
from posthog_convex.component.rows import meta
from pyconvex import ActionCtx, MutationCtx, QueryCtx, action, mutation, query


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


@action(name="refreshFlagDefinitions")
async def refresh_flag_definitions(ctx: ActionCtx) -> Reloaded:
    """Look for newer definitions now: under this name either component has it."""
    return await look_now(ctx)


class Definitions(TypedDict):
    """All definitions as the npm component gives them."""

    localEvalConfigured: bool
    #: JSON text, null before the first refresh.
    data: str | None
    fetchedAt: float | None
    etag: str | None


@query(name="getFlagDefinitions")
async def flag_definitions(ctx: QueryCtx) -> Definitions:
    """All stored definitions, for SDKs beside the deployment; it depends on every row there is."""
    configured = bool((ctx.env.get("POSTHOG_PERSONAL_API_KEY") or "").strip())
    source = await meta(ctx.db, SOURCE)
    if source is None:
        return Definitions(localEvalConfigured=configured, data=None, fetchedAt=None, etag=None)
    marker = msgspec.json.decode(source, type=Marker)
    flags = [row for row in await ctx.db.query(FlagRow).collect() if row.definition]
    cohorts = {row.cohort_id: row.definition for row in await ctx.db.query(CohortRow).collect()}
    data = {
        "flags": [msgspec.Raw(row.definition.encode()) for row in flags],
        "groupTypeMapping": json.loads(await meta(ctx.db, GROUP_TYPES) or "{}"),
        "cohorts": {id_: msgspec.Raw(text.encode()) for id_, text in cohorts.items() if text},
        "propertyMatchingVersion": max((row.matching_version for row in flags), default=1),
    }
    return Definitions(
        localEvalConfigured=configured,
        data=msgspec.json.encode(data).decode(),
        fetchedAt=marker.fetched_at,
        etag=marker.etag,
    )

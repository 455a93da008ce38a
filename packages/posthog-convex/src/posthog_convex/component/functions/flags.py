"""Flags: what the refresh writes and what functions ask.

Owns evaluation against the stored rows, and the diff of a refresh. Never fetches. One invariant: an
evaluation reads the rows that it needs and no others, so its query runs again when one of these
changes and not when any other flag does.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, TypedDict

import msgspec

from posthog_convex.component.compiled import CompiledFlags, Rows
from posthog_convex.component.functions.tables import (
    GROUP_TYPES,
    LOADED,
    SOURCE,
    CohortRow,
    FlagRow,
    MetaRow,
)
from posthog_convex.component.refresh import Marker, Stored, store_definitions
from pyconvex import MutationCtx, QueryCtx, internal_mutation, internal_query, query
from pyconvex.functions import Arg

#: Compiled flags of this process. The app's isolates each have their own.
_compiled = CompiledFlags(bound=10_000)


class Evaluation(TypedDict):
    """The answer for one flag; `state` says which of the others mean something."""

    #: match, off, no_verdict; unknown (no such flag), not_loaded (no definitions yet), no_key.
    state: str
    #: True or the variant on a match, False when off.
    value: bool | str | None
    #: JSON text of the payload, null for none.
    payload: str | None
    #: Why there is no verdict: a code and a sentence.
    reason: str | None
    detail: str


@query
async def evaluate(
    ctx: QueryCtx,
    key: str,
    distinct_id: Annotated[str, Arg("distinctId")],
    person_properties: Annotated[str, Arg("personProperties")] = "{}",
    groups: str = "{}",
    group_properties: Annotated[str, Arg("groupProperties")] = "{}",
) -> Evaluation:
    """Evaluate one flag for one person.

    Properties and groups are JSON text, because their names may be none that Convex fields have.
    """
    rows = await _rows(ctx, key)
    if rows is None:
        return await _absent(ctx)
    flag = _compiled.get(rows)
    verdict = flag.evaluate(
        distinct_id,
        msgspec.json.decode(person_properties, type=dict[str, Any]),
        msgspec.json.decode(groups, type=dict[str, str]),
        msgspec.json.decode(group_properties, type=dict[str, dict[str, Any]]),
        time.time() * 1000 if flag.uses_now else 0.0,
    )
    return Evaluation(
        state=verdict.state.value,
        value=verdict.value,
        payload=None if verdict.payload is None else json.dumps(verdict.payload),
        reason=verdict.reason and verdict.reason.value,
        detail=verdict.detail,
    )


@internal_query
async def etag(ctx: QueryCtx) -> str | None:
    """The etag of the definitions that are stored completely, for a conditional request."""
    source = await _meta(ctx, SOURCE)
    return None if source is None else msgspec.json.decode(source, type=Marker).etag


@internal_mutation
async def store(
    ctx: MutationCtx,
    definitions: str,
    etag: str | None,
    fetched_at: Annotated[float, Arg("fetchedAt")],
) -> Stored:
    """Take over an answer of the definitions endpoint, writing what changed and nothing else.

    With `more` true there was too much for one transaction: call again with the same arguments.
    Raises for an answer that can't be read, and keeps what was stored.
    """
    return await store_definitions(ctx.db, definitions, Marker(etag, fetched_at))


async def _absent(ctx: QueryCtx) -> Evaluation:
    """Why there is no row; this alone depends on the marker, and at first on the key."""
    if await _meta(ctx, LOADED) is not None:
        state = "unknown"
    elif ctx.env.get("POSTHOG_PERSONAL_API_KEY"):
        state = "not_loaded"
    else:
        state = "no_key"
    return Evaluation(state=state, value=None, payload=None, reason=None, detail="")


async def _rows(ctx: QueryCtx, key: str) -> Rows | None:
    """The flag's row and, breadth first, those that it leads to."""
    first = await _flag(ctx, key)
    if first is None:
        return None
    rows = Rows(key, {key: first}, {})
    pending: list[FlagRow | CohortRow] = [first]
    for row in pending:
        for name in row.flags:
            if name not in rows.flags and (flag := await _flag(ctx, name)) is not None:
                rows.flags[name] = flag
                pending.append(flag)
        for id_ in row.cohorts:
            if id_ not in rows.cohorts and (cohort := await _cohort(ctx, id_)) is not None:
                rows.cohorts[id_] = cohort
                pending.append(cohort)
    if any(flag.group_types for flag in rows.flags.values()):
        rows.group_types = await _meta(ctx, GROUP_TYPES) or "{}"
    return rows


async def _flag(ctx: QueryCtx, key: str) -> FlagRow | None:
    return await ctx.db.query(FlagRow).with_index("by_key", key=key).unique()


async def _cohort(ctx: QueryCtx, id_: str) -> CohortRow | None:
    return await ctx.db.query(CohortRow).with_index("by_cohort_id", cohort_id=id_).unique()


async def _meta(ctx: QueryCtx, name: str) -> str | None:
    row = await ctx.db.query(MetaRow).with_index("by_name", name=name).unique()
    return None if row is None else row.json

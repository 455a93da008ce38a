"""Flags: what the refresh writes and what functions ask.

Owns evaluation against the stored rows, and the diff of a refresh. Never fetches. One invariant: an
evaluation of one flag reads the rows that it needs and no others, so its query runs again when one
of these changes and not when any other flag does.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, TypedDict

import msgspec

from posthog_convex.component.compiled import CompiledFlags, Rows
from posthog_convex.component.functions.tables import LOADED, SOURCE, TROUBLE
from posthog_convex.component.refresh import Marker, Stored, Trouble, store_definitions
from posthog_convex.component.rows import RowReader, meta
from posthog_convex.component.settings import is_disabled
from posthog_convex.flags import CompiledFlag
from pyconvex import MutationCtx, QueryCtx, internal_mutation, internal_query, query
from pyconvex.functions import Arg

#: Compiled flags of this process. The app's isolates each have their own.
_compiled = CompiledFlags(bound=10_000)


class Evaluation(TypedDict):
    """The answer for one flag; `state` says which of the others mean something."""

    key: str
    #: match, off, no_verdict; unknown (no such flag), not_loaded (no definitions yet), no_key.
    state: str
    #: True or the variant on a match, False when off.
    value: bool | str | None
    #: JSON text of the payload, null for none.
    payload: str | None
    #: Why there is no verdict: a code and a sentence.
    reason: str | None
    detail: str
    #: Changes with the definition and with nothing else.
    hash: str | None
    #: PostHog's own id and version of the definition.
    id: int | None
    version: int | None


class Evaluations(TypedDict):
    """The answer for many flags."""

    #: loaded, not_loaded or no_key.
    state: str
    detail: str
    #: As asked for, or all, sorted by key.
    flags: list[Evaluation]


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
    rows = await RowReader(ctx.db).rows(key)
    if rows is None:
        return _absent(key, *await _state(ctx))
    caller = _Caller.of(distinct_id, person_properties, groups, group_properties)
    return _evaluation(rows, caller)


@query
async def evaluate_all(
    ctx: QueryCtx,
    distinct_id: Annotated[str, Arg("distinctId")],
    keys: list[str] | None = None,
    person_properties: Annotated[str, Arg("personProperties")] = "{}",
    groups: str = "{}",
    group_properties: Annotated[str, Arg("groupProperties")] = "{}",
) -> Evaluations:
    """Evaluate the flags with these keys, or all: then it depends on every row there is."""
    state, detail = await _state(ctx)
    reader = RowReader(ctx.db)
    wanted = await reader.all() if keys is None else list(dict.fromkeys(keys))
    caller = _Caller.of(distinct_id, person_properties, groups, group_properties)
    found = [
        _absent(key, state, detail) if (rows := await reader.rows(key)) is None
        else _evaluation(rows, caller)
        for key in wanted
    ]  # fmt: skip
    return Evaluations(state=state, detail=detail, flags=found)


@query
async def payload(ctx: QueryCtx, key: str, value: bool | str) -> Evaluation:
    """The payload of a value that the caller knows already; nothing is evaluated."""
    rows = await RowReader(ctx.db).rows(key)
    if rows is None:
        return _absent(key, *await _state(ctx))
    flag = _compiled.get(rows)
    found = None if value is False else flag.payload_of(value)
    state = "off" if value is False else "match"
    return _answer(rows, flag, state=state, value=value, payload=found)


class Held(TypedDict):
    """What a refresh starts from."""

    #: Of the definitions that are stored completely, for a conditional request.
    etag: str | None
    #: The kind of trouble that the last refreshes met, null for none.
    failing: str | None


@internal_query
async def stored(ctx: QueryCtx) -> Held:
    """What there is before a refresh."""
    source = await meta(ctx.db, SOURCE)
    trouble = await meta(ctx.db, TROUBLE)
    return Held(
        etag=None if source is None else msgspec.json.decode(source, type=Marker).etag,
        failing=None if trouble is None else msgspec.json.decode(trouble, type=Trouble).kind,
    )


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


class _Caller(msgspec.Struct, frozen=True):
    """Whom flags are evaluated for, decoded once a call."""

    distinct_id: str
    person_properties: dict[str, Any]
    groups: dict[str, str]
    group_properties: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, distinct_id: str, person: str, groups: str, group_properties: str) -> _Caller:
        return cls(
            distinct_id,
            msgspec.json.decode(person, type=dict[str, Any]),
            msgspec.json.decode(groups, type=dict[str, str]),
            msgspec.json.decode(group_properties, type=dict[str, dict[str, Any]]),
        )


def _evaluation(rows: Rows, caller: _Caller) -> Evaluation:
    flag = _compiled.get(rows)
    verdict = flag.evaluate(
        caller.distinct_id,
        caller.person_properties,
        caller.groups,
        caller.group_properties,
        time.time() * 1000 if flag.uses_now else 0.0,
    )
    return _answer(
        rows,
        flag,
        state=verdict.state.value,
        value=verdict.value,
        payload=verdict.payload,
        reason=verdict.reason and verdict.reason.value,
        detail=verdict.detail,
    )


def _answer(
    rows: Rows,
    flag: CompiledFlag,
    *,
    state: str,
    value: bool | str | None,
    payload: Any,
    reason: str | None = None,
    detail: str = "",
) -> Evaluation:
    return Evaluation(
        key=rows.key,
        state=state,
        value=value,
        payload=None if payload is None else json.dumps(payload),
        reason=reason,
        detail=detail,
        hash=rows.flags[rows.key].hash,
        id=flag.id,
        version=flag.version,
    )


async def _state(ctx: QueryCtx) -> tuple[str, str]:
    """Whether there are definitions; this depends on the marker, and before that on the key."""
    if await meta(ctx.db, LOADED) is not None:
        return "loaded", ""
    if is_disabled(ctx.env):
        return "no_key", "POSTHOG_DISABLE_LOCAL_EVALUATION is set. Remove it, or " + _REMOTE
    if ctx.env.get("POSTHOG_PERSONAL_API_KEY"):
        return "not_loaded", ""
    return "no_key", (
        "no flag definitions can be loaded. Set POSTHOG_PERSONAL_API_KEY to a phs_ or phx_ key, or "
        + _REMOTE
    )


_REMOTE = "call evaluate_flag from an action."


def _absent(key: str, state: str, detail: str) -> Evaluation:
    """The answer without a row."""
    return Evaluation(
        key=key,
        state="unknown" if state == "loaded" else state,
        value=None,
        payload=None,
        reason=None,
        detail=detail,
        hash=None,
        id=None,
        version=None,
    )

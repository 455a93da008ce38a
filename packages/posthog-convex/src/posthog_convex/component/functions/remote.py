"""Asking PostHog now: actions that leave the machine.

Owns the component's own side of remote evaluation and of a refresh by hand. Never keeps an answer.
One invariant: keys and tokens stay here; callers see none.
"""

from __future__ import annotations

import time
from asyncio import sleep
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

import msgspec

from posthog_convex.component.connections import send
from posthog_convex.component.lanes import USER_AGENT, Stored
from posthog_convex.component.polling import Look, Outcome, look
from posthog_convex.component.remote import RemoteAnswer, ask, flags_request
from posthog_convex.component.settings import is_disabled
from pyconvex import ActionCtx, action
from pyconvex.delivery import Request, Response
from pyconvex.functions import Arg, internal
from pyconvex.values import Value

#: How long a fetch of all definitions may take, as in the lane.
_FETCH_DEADLINE_S = 10.0


class RemoteFlagRow(TypedDict):
    """One flag as PostHog evaluated it."""

    key: str
    value: bool | str
    #: JSON text, null for none.
    payload: str | None


class RemoteFlags(TypedDict):
    """PostHog's answer, or why there is none."""

    error: str | None
    flags: list[RemoteFlagRow]
    #: Keys of flags that PostHog itself could not evaluate.
    failed: list[str]


class Reloaded(TypedDict):
    """How a refresh by hand went: updated, unchanged, skipped or error."""

    status: str
    reason: str | None


@action
async def evaluate(
    ctx: ActionCtx,
    distinct_id: Annotated[str, Arg("distinctId")],
    timeout_s: Annotated[float, Arg("timeoutS")],
    keys: list[str] | None = None,
    person_properties: Annotated[str, Arg("personProperties")] = "{}",
    groups: str = "{}",
    group_properties: Annotated[str, Arg("groupProperties")] = "{}",
    disable_geoip: Annotated[bool, Arg("disableGeoip")] = True,
) -> RemoteFlags:
    """Let PostHog evaluate flags for one person: those with these keys, or all."""
    question = _question(distinct_id, person_properties, groups, group_properties)
    question["geoip_disable"] = disable_geoip
    if keys is not None:
        question["flag_keys_to_evaluate"] = keys
    answer = await ask(flags_request(ctx.env, question), send, timeout_s, sleep)
    return _found(answer)


@action
async def reload(ctx: ActionCtx) -> Reloaded:
    """Look for newer definitions now, as the lane does at its interval."""
    if is_disabled(ctx.env):
        return Reloaded(status="skipped", reason="POSTHOG_DISABLE_LOCAL_EVALUATION is set")
    for name in ("POSTHOG_PROJECT_TOKEN", "POSTHOG_PERSONAL_API_KEY"):
        if not (ctx.env.get(name) or "").strip():
            return Reloaded(status="skipped", reason=f"{name} is not set")
    stored = msgspec.convert(await ctx.run_query(internal.flags.stored), Stored)
    found = await look(_Outside(ctx), stored.etag, USER_AGENT)
    if found.outcome in (Outcome.UPDATED, Outcome.UNCHANGED):
        if stored.failing is not None:
            await ctx.run_mutation(internal.poll.recovered)
        return Reloaded(status=found.outcome.value, reason=None)
    return Reloaded(status="error", reason=_reason(found))


class _Outside(msgspec.Struct):
    """An action's context as `look` needs it."""

    ctx: ActionCtx

    @property
    def env(self) -> Mapping[str, str]:
        return self.ctx.env

    async def send(self, request: Request) -> Response:
        return await send(request, deadline_s=_FETCH_DEADLINE_S)

    async def run_mutation(self, path: str, args: Mapping[str, Value]) -> Value:
        assert path == "flags:store"
        stored: Value = await self.ctx.run_mutation(internal.flags.store, args)
        return stored

    def now_ms(self) -> float:
        return time.time() * 1000


def _question(
    distinct_id: str, person_properties: str, groups: str, group_properties: str
) -> dict[str, Any]:
    """The caller in the endpoint's words; the ids are properties too, unless others were passed."""
    keys: dict[str, str] = msgspec.json.decode(groups)
    passed: dict[str, dict[str, Any]] = msgspec.json.decode(group_properties)
    return {
        "distinct_id": distinct_id,
        "groups": keys,
        "person_properties": {"distinct_id": distinct_id, **msgspec.json.decode(person_properties)},
        "group_properties": {
            kind: {"$group_key": key, **passed.get(kind, {})} for kind, key in keys.items()
        },
        "evaluation_runtime": "server",
    }


def _found(answer: RemoteAnswer) -> RemoteFlags:
    return RemoteFlags(
        error=answer.error,
        flags=[
            RemoteFlagRow(key=key, value=each.value, payload=each.payload)
            for key, each in answer.flags.items()
        ],
        failed=list(answer.failed),
    )


def _reason(found: Look) -> str:
    kept = "the last definitions stay in force"
    if found.outcome is Outcome.UNREACHABLE:
        return f"PostHog could not be reached for flags ({found.reason}); {kept}"
    return f"{found.reason}; {kept}"

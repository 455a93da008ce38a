"""Asking PostHog now: where, and a refresh by hand.

Owns the component's own side of what leaves the machine from actions. Never keeps an answer. One
invariant: the key for definitions stays here; callers see the project token at most.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, TypedDict

import msgspec

from posthog_convex.component.batches import USER_AGENT
from posthog_convex.component.connections import send
from posthog_convex.component.lanes import Stored
from posthog_convex.component.polling import Outcome, look
from posthog_convex.component.remote_config import payload_request, read_payload, unasked
from posthog_convex.component.settings import is_disabled
from pyconvex import ActionCtx, QueryCtx, action, query
from pyconvex.delivery import Request, Response, Unreachable
from pyconvex.functions import Arg, internal
from pyconvex.values import Value

#: How long a fetch of all definitions may take, as in the lane.
_FETCH_DEADLINE_S = 10.0


class Target(TypedDict):
    """Where flags are asked for; a project token is no secret, every browser has it."""

    host: str | None
    token: str


class Reloaded(TypedDict):
    """How a refresh by hand went: updated, unchanged, skipped or error."""

    status: str
    reason: str | None


@query
async def target(ctx: QueryCtx) -> Target:
    """Where an action asks for flags: it does so itself, so that it waits for one slot alone."""
    return Target(host=ctx.env.get("POSTHOG_HOST"), token=ctx.env["POSTHOG_PROJECT_TOKEN"])


@action
async def reload(ctx: ActionCtx) -> Reloaded:
    """Look for newer definitions now, as the lane does at its interval."""
    return await look_now(ctx)


async def look_now(ctx: ActionCtx) -> Reloaded:
    """The same, for other functions of the component."""
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
    return Reloaded(status="error", reason=f"{found.trouble}; the last definitions stay in force")


class ConfigPayload(TypedDict):
    """JSON text, or why there is none."""

    payload: str | None
    error: str | None


@action
async def config_payload(
    ctx: ActionCtx, key: str, timeout_s: Annotated[float, Arg("timeoutS")]
) -> ConfigPayload:
    """Ask PostHog for the payload of a flag that only carries configuration; the key stays here."""
    if (problem := unasked(ctx.env)) is not None:
        return ConfigPayload(payload=None, error=problem)
    try:
        response = await send(payload_request(ctx.env, key), deadline_s=timeout_s)
    except Unreachable as error:
        return ConfigPayload(payload=None, error=f"PostHog could not be reached: {error}")
    found = read_payload(response, key)
    return ConfigPayload(payload=found.text, error=found.error)


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

"""Asking PostHog now, and how flags are doing.

Owns the calls that leave the machine, in actions alone, and `status`, which doesn't. Never falls
back from one way of evaluating to the other: each call says which it is. One invariant: trouble
with PostHog gives the default and a warning; only a call in the wrong place raises.
"""

from __future__ import annotations

import json
from asyncio import sleep
from collections.abc import Sequence
from typing import Any, TypeVar, Unpack, overload

from posthog_convex.client.arguments import (
    About,
    Ctx,
    OneFlag,
    apart,
    group_keys,
    remote_question,
)
from posthog_convex.client.binding import Binding
from posthog_convex.client.results import FlagsAndPayloads
from posthog_convex.client.slips import asker
from posthog_convex.client.status import Reloaded, Status
from posthog_convex.component.connections import send
from posthog_convex.component.remote import RemoteAnswer, ask, flags_request
from posthog_convex.events import Exposure
from pyconvex import ActionCtx

D = TypeVar("D")

#: As long as PostHog's SDKs wait for flags, each of two times.
TIMEOUT_S = 3.0


class RemoteCalls(Binding):
    """Flags that PostHog evaluates, with all that it knows: stored properties, static cohorts.

    Each call is a request, which is billed and takes its time: `timeout_s` for each of two
    attempts. See `About` for the keyword arguments that all share.
    """

    @overload
    async def evaluate_flag(
        self,
        ctx: ActionCtx,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        disable_geoip: bool = True,
        **about: Unpack[OneFlag],
    ) -> bool | str | None: ...
    @overload
    async def evaluate_flag(
        self,
        ctx: ActionCtx,
        key: str,
        *,
        default: D,
        timeout_s: float = TIMEOUT_S,
        disable_geoip: bool = True,
        **about: Unpack[OneFlag],
    ) -> bool | str | D: ...
    async def evaluate_flag(
        self,
        ctx: ActionCtx,
        key: str,
        *,
        default: Any = None,
        timeout_s: float = TIMEOUT_S,
        disable_geoip: bool = True,
        **about: Unpack[OneFlag],
    ) -> Any:
        """The flag's value for a person, evaluated by PostHog: True, the variant's key, or False.

        `default` stands in, with a warning, when PostHog has no such flag, could not evaluate it or
        could not be asked. Raises `PostHogError` in a query or mutation.

            if await posthog.evaluate_flag(ctx, "beta", default=False): ...
        """
        found = await self._ask_for_one(
            ctx, "evaluate_flag", key, about, timeout_s=timeout_s, disable_geoip=disable_geoip
        )
        return found.flags.get(key, default)

    async def evaluate_flag_payload(
        self,
        ctx: ActionCtx,
        key: str,
        *,
        default: Any = None,
        timeout_s: float = TIMEOUT_S,
        disable_geoip: bool = True,
        **about: Unpack[OneFlag],
    ) -> Any:
        """The decoded payload of the flag's value for a person; None when that value has none.

        `default` stands in when there is no value, as with `evaluate_flag`. It is no exposure,
        unless `send_feature_flag_events` is True.
        """
        call = "evaluate_flag_payload"
        about["send_feature_flag_events"] = bool(about.get("send_feature_flag_events"))
        found = await self._ask_for_one(
            ctx, call, key, about, timeout_s=timeout_s, disable_geoip=disable_geoip
        )
        return found.payloads.get(key) if key in found.flags else default

    async def evaluate_all_flags(
        self,
        ctx: ActionCtx,
        *,
        flag_keys: Sequence[str] | None = None,
        timeout_s: float = TIMEOUT_S,
        disable_geoip: bool = True,
        **about: Unpack[About],
    ) -> FlagsAndPayloads:
        """The values and payloads of all flags for a person, or of `flag_keys`, in one request.

        When PostHog could not be asked both are empty, and `error` says why.
        """
        call, keys = "evaluate_all_flags", None if flag_keys is None else list(flag_keys)
        asker(ctx, call)
        person = await self._needed_person(ctx, call, about.get("distinct_id"))
        return _flags(
            await self._ask(
                ctx, call, keys, person, about, timeout_s=timeout_s, disable_geoip=disable_geoip
            )
        )

    async def get_remote_config_payload(
        self, ctx: ActionCtx, key: str, *, default: Any = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        """The decoded payload of a flag that only carries configuration, decrypted by PostHog.

        It is the same for everybody, and no exposure. `default` stands in, with a warning, when
        PostHog has none or could not be asked. Raises `PostHogError` in a query or mutation.
        """
        allowed = asker(ctx, "get_remote_config_payload")
        arguments = {"key": key, "timeoutS": timeout_s}
        found = await allowed.run_action(self._component.remote.config_payload, arguments)
        if found["error"] is not None:
            text = f"posthog.get_remote_config_payload got none: {found['error']}."
            ctx.log("warn", f"{text} The default stands in.")
            return default
        return json.loads(found["payload"])

    async def reload_feature_flags(self, ctx: ActionCtx) -> Reloaded:
        """Look for newer flag definitions now, for instance when PostHog calls a webhook of yours.

        The component looks by itself at its interval. Raises `PostHogError` in a query or mutation.
        """
        allowed = asker(ctx, "reload_feature_flags")
        return Reloaded.of(await allowed.run_action(self._component.remote.reload, {}))

    async def status(self, ctx: Ctx) -> Status:
        """How flags and events are doing: how old definitions are, how many events wait, and why.

        Works in every kind of function; a query that asks runs again when that changes.
        """
        return Status.of(await ctx.run_query(self._component.poll.status, {}))

    async def _ask_for_one(
        self,
        ctx: ActionCtx,
        call: str,
        key: str,
        asked: OneFlag,
        *,
        timeout_s: float,
        disable_geoip: bool,
    ) -> FlagsAndPayloads:
        about, wanted = apart(asked)
        person = await self._needed_person(asker(ctx, call), call, about.get("distinct_id"))
        answer = await self._ask(
            ctx, call, [key], person, about, timeout_s=timeout_s, disable_geoip=disable_geoip
        )
        flag = answer.flags.get(key)
        if flag is not None and (self._sends_exposures if wanted is None else wanted):
            exposure = Exposure(
                distinct_id=person, flag=key, value=flag.value, groups=group_keys(about)
            )
            self._expose(
                ctx,
                exposure,
                locally=False,
                reason=flag.reason,
                payload=None if flag.payload is None else _decoded(flag.payload),
                id=flag.id,
                version=flag.version,
                request_id=answer.request_id,
                disable_geoip=disable_geoip,
            )
        return _flags(answer)

    async def _ask(
        self,
        ctx: ActionCtx,
        call: str,
        keys: list[str] | None,
        person: str,
        about: About,
        *,
        timeout_s: float,
        disable_geoip: bool,
    ) -> RemoteAnswer:
        allowed = asker(ctx, call)
        question = remote_question(person, about, keys, disable_geoip=disable_geoip)
        target = await allowed.run_query(self._component.remote.target, {})
        request = flags_request(target["host"], target["token"], question)
        answer = await ask(request, send, timeout_s, sleep)
        _warn(ctx, call, keys, answer)
        return answer


def _flags(answer: RemoteAnswer) -> FlagsAndPayloads:
    return FlagsAndPayloads(
        {key: each.value for key, each in answer.flags.items()},
        {
            key: _decoded(each.payload)
            for key, each in answer.flags.items()
            if each.payload is not None and each.value is not False
        },
        answer.error,
    )


def _warn(ctx: ActionCtx, call: str, keys: list[str] | None, answer: RemoteAnswer) -> None:
    """Say why there is less than was asked for."""
    if answer.error is not None:
        ctx.log("warn", f"posthog.{call} got no flags: {answer.error}. The default stands in.")
        return
    if answer.failed:
        names = ", ".join(map(repr, answer.failed))
        ctx.log("warn", f"posthog.{call}: PostHog could not evaluate {names}.")
    missing = [key for key in keys or () if key not in answer.flags and key not in answer.failed]
    if missing:
        names = ", ".join(map(repr, missing))
        ctx.log("warn", f"posthog.{call}: PostHog has no active flag {names}.")


def _decoded(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:  # as PostHog's SDKs: what isn't JSON stays text
        return payload

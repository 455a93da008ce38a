"""Events, from mutations and actions.

Owns the calls that record something. Never sends: each event is a row of the component's queue in
the caller's transaction. One invariant: uuid and time are fixed when the function runs, so that an
event is one event however often it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from posthog_convex import events
from posthog_convex.client.arguments import (
    About,
    Groups,
    SendFeatureFlags,
    Stamped,
    stamp_of,
)
from posthog_convex.client.binding import Fit
from posthog_convex.client.local_flags import LocalFlagCalls
from posthog_convex.client.results import FlagValues, values_of
from posthog_convex.client.slips import writer
from posthog_convex.events import Event, Exposure, Properties, Stamp
from pyconvex import ActionCtx, MutationCtx


class _Shared(TypedDict):
    """What the builders of all events about a person take."""

    distinct_id: str | None
    stamp: Stamp
    disable_geoip: bool


class EventCalls(LocalFlagCalls):
    """Events; see `Stamped` for the keyword arguments that all share.

    Each call returns the event's uuid at once. In a mutation the event commits or rolls back with
    it; in an action it is durable when the call returns. All raise `PostHogError` in a query, and
    `EventError` for what is a mistake of the code. What depends on data never makes a function
    fail: a value that has no JSON form becomes null, and an event over 900 KiB is not sent; a
    warning says so.
    """

    async def capture(
        self,
        ctx: MutationCtx | ActionCtx,
        event: str,
        *,
        properties: Properties | None = None,
        groups: Groups | None = None,
        flags: FlagValues | None = None,
        send_feature_flags: bool | SendFeatureFlags | Mapping[str, Any] = False,
        **stamped: Unpack[Stamped],
    ) -> str:
        """Record that something happened.

        Without any distinct id the event belongs to nobody and makes no person profile. `flags`,
        what a call for many flags has answered, go with it as `$feature/<key>` and
        `$active_feature_flags`. `send_feature_flags` does the same with the person's flags as they
        are evaluated here and now: the mutation then reads flags.

            await posthog.capture(ctx, "plan_changed", properties={"plan": plan})
        """
        allowed = writer(ctx, "capture")
        person = await self._person(ctx, stamped.get("distinct_id"))
        stamp = stamp_of(stamped)
        made = self._built(
            allowed,
            lambda fit: events.capture(
                event,
                distinct_id=person,
                stamp=stamp,
                properties=fit(properties, "properties"),
                groups=groups,
                disable_geoip=stamped.get("disable_geoip", True),
            ),
        )
        if flags is not None:
            made["properties"] = events.flag_properties(values_of(flags)) | made["properties"]
        elif send_feature_flags and person is not None:
            wanted = SendFeatureFlags.of(send_feature_flags)
            found = await self._flag_properties(allowed, person, groups, wanted)
            # What the caller says about a flag counts.
            made["properties"] = found | made["properties"]
        if stamped.get("uuid") is None and (exposure := Exposure.of_event(made)) is not None:
            # The same event as the one that the flag's read reports.
            made["uuid"] = exposure.uuid(made["timestamp"])
        return await self._record(allowed, made)

    async def identify(
        self,
        ctx: MutationCtx | ActionCtx,
        *,
        properties: Properties | None = None,
        set_once: Properties | None = None,
        anon_distinct_id: str | None = None,
        **stamped: Unpack[Stamped],
    ) -> str:
        """Say who a person is: set `properties`, and `set_once` where there is nothing yet.

        Events of `anon_distinct_id`, the browser's id from before the login, become theirs. Raises
        `EventError` when nobody is known.
        """
        return await self._record_about_person(
            ctx,
            "identify",
            stamped,
            lambda shared, fit: events.identify(
                properties=fit(properties, "properties"),
                set_once=fit(set_once, "set_once"),
                anon_distinct_id=anon_distinct_id,
                **shared,
            ),
        )

    async def set(
        self,
        ctx: MutationCtx | ActionCtx,
        properties: Properties,
        **stamped: Unpack[Stamped],
    ) -> str:
        """Set person properties, over what is there. Raises `EventError` when nobody is known.

        await posthog.set(ctx, {"plan": plan})
        """
        return await self._record_about_person(
            ctx,
            "set",
            stamped,
            lambda shared, fit: events.set_properties(
                properties=fit(properties, "properties") or {}, **shared
            ),
        )

    async def set_once(
        self,
        ctx: MutationCtx | ActionCtx,
        properties: Properties,
        **stamped: Unpack[Stamped],
    ) -> str:
        """Set person properties where there is nothing yet. As `set` else."""
        return await self._record_about_person(
            ctx,
            "set_once",
            stamped,
            lambda shared, fit: events.set_once(
                properties=fit(properties, "properties") or {}, **shared
            ),
        )

    async def unset(
        self,
        ctx: MutationCtx | ActionCtx,
        names: Sequence[str],
        **stamped: Unpack[Stamped],
    ) -> str:
        """Take person properties away, by name. As `set` else.

        await posthog.unset(ctx, ["trial_ends_at"])
        """
        return await self._record_about_person(
            ctx,
            "unset",
            stamped,
            lambda shared, _: events.unset_properties(names=names, **shared),
        )

    async def alias(
        self, ctx: MutationCtx | ActionCtx, alias: str, **stamped: Unpack[Stamped]
    ) -> str:
        """Give a person another id: events of `alias`, earlier and later, become theirs.

        PostHog refuses an alias that was identified as a person of its own. Raises `EventError`
        when nobody is known.
        """
        return await self._record_about_person(
            ctx, "alias", stamped, lambda shared, _: events.alias(alias=alias, **shared)
        )

    async def group_identify(
        self,
        ctx: MutationCtx | ActionCtx,
        group_type: str,
        group_key: str | int,
        *,
        properties: Properties | None = None,
        **stamped: Unpack[Stamped],
    ) -> str:
        """Set properties of a group, such as a company.

        The event is nobody's, as in PostHog's SDKs, unless `distinct_id` is given: neither
        `identify` nor `ctx.user_id` is asked.

            await posthog.group_identify(ctx, "company", "acme", properties={"seats": 12})
        """
        allowed = writer(ctx, "group_identify")
        stamp = stamp_of(stamped)
        made = self._built(
            allowed,
            lambda fit: events.group_identify(
                group_type,
                group_key,
                stamp=stamp,
                properties=fit(properties, "properties"),
                distinct_id=stamped.get("distinct_id"),
                disable_geoip=stamped.get("disable_geoip", True),
            ),
        )
        return await self._record(allowed, made)

    async def _record_about_person(
        self,
        ctx: MutationCtx | ActionCtx,
        call: str,
        stamped: Stamped,
        build: Callable[[_Shared, Fit], Event],
    ) -> str:
        """Queue an event that is about a person, who must be known; returns its uuid."""
        allowed = writer(ctx, call)
        shared = _Shared(
            distinct_id=await self._person(ctx, stamped.get("distinct_id")),
            stamp=stamp_of(stamped),
            disable_geoip=stamped.get("disable_geoip", True),
        )
        return await self._record(allowed, self._built(allowed, lambda fit: build(shared, fit)))

    async def _flag_properties(
        self,
        ctx: MutationCtx | ActionCtx,
        person: str,
        groups: Groups | None,
        wanted: SendFeatureFlags,
    ) -> dict[str, Any]:
        about = About(
            groups=groups,
            person_properties=wanted.person_properties,
            group_properties=wanted.group_properties,
        )
        found = await self._evaluate_for(ctx, person, wanted.flag_keys, about)
        return events.flag_properties(
            {each.key: each.value for each in found if each.value is not None}
        )

"""`PostHog`: what an app's functions call.

Owns the calls, whose call it is, and the hooks of the app. Never sends: events go through the
component's queue in the caller's transaction, flags come from the component's tables. One
invariant: uuid and time are fixed when the function runs, so that an event is one event however
often it is sent.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, overload
from uuid import UUID, uuid4

from posthog_convex import events
from posthog_convex.events import Event, Properties
from pyconvex import ActionCtx, MutationCtx, QueryCtx
from pyconvex.functions import ComponentReference

Ctx: TypeAlias = QueryCtx | MutationCtx | ActionCtx
#: Says whose call it is; None leaves it to the explicit id or `ctx.user_id`.
Identify: TypeAlias = Callable[[Any], str | Awaitable[str | None] | None]
#: Returns the event, changed or not, or None to drop it.
BeforeSend: TypeAlias = Callable[[Event], Event | None]
Groups: TypeAlias = Mapping[str, str | int]
D = TypeVar("D")

#: Warnings remembered, so that each is written once a process and not at every call.
_MAX_WARNED = 1_000


class PostHogError(Exception):
    """A call that can't be made here; nothing was recorded, and the message says what to do."""


class PostHog:
    """PostHog for the functions of an app. Make one, at the top of a module.

        posthog = PostHog(components.posthog)

    The person is, in this order: what `identify(ctx)` returns, the `distinct_id` of the call,
    `ctx.user_id`. `before_send`, one hook or a list, sees each event before it is recorded and may
    change or drop it; a hook that raises drops the event with a warning.
    """

    def __init__(
        self,
        component: ComponentReference,
        *,
        identify: Identify | None = None,
        before_send: BeforeSend | Sequence[BeforeSend] | None = None,
    ) -> None:
        self._component = component
        self._identify = identify
        self._hooks: tuple[BeforeSend, ...] = (
            () if before_send is None
            else (before_send,) if callable(before_send)
            else tuple(before_send)
        )  # fmt: skip
        self._warned: set[tuple[str, str]] = set()

    async def capture(
        self,
        ctx: MutationCtx | ActionCtx,
        event: str,
        *,
        distinct_id: str | None = None,
        properties: Properties | None = None,
        groups: Groups | None = None,
        timestamp: datetime | str | None = None,
        uuid: UUID | str | None = None,
        disable_geoip: bool = True,
    ) -> str:
        """Record that something happened; returns the event's uuid.

        In a mutation the event commits or rolls back with it; in an action it is durable when this
        returns. Without any distinct id it belongs to nobody and makes no person profile. Raises
        `PostHogError` in a query, `EventError` for properties that have no JSON form.

            await posthog.capture(ctx, "plan_changed", properties={"plan": plan})
        """
        writer = _writer(ctx, "capture")
        made = events.capture(
            event,
            distinct_id=await self._person(ctx, distinct_id),
            stamp=_stamp(timestamp, uuid),
            properties=properties,
            groups=groups,
            disable_geoip=disable_geoip,
        )
        return await self._record(writer, made)

    async def identify(
        self,
        ctx: MutationCtx | ActionCtx,
        *,
        distinct_id: str | None = None,
        properties: Properties | None = None,
        set_once: Properties | None = None,
        anon_distinct_id: str | None = None,
        timestamp: datetime | str | None = None,
        uuid: UUID | str | None = None,
        disable_geoip: bool = True,
    ) -> str:
        """Say who a person is: set `properties`, and `set_once` where there is nothing yet.

        Events of `anon_distinct_id`, the browser's id from before the login, become theirs. Raises
        `PostHogError` in a query, `EventError` when nobody is known.
        """
        writer = _writer(ctx, "identify")
        made = events.identify(
            distinct_id=await self._person(ctx, distinct_id),
            stamp=_stamp(timestamp, uuid),
            properties=properties,
            set_once=set_once,
            anon_distinct_id=anon_distinct_id,
            disable_geoip=disable_geoip,
        )
        return await self._record(writer, made)

    @overload
    async def get_feature_flag(
        self,
        ctx: Ctx,
        key: str,
        *,
        distinct_id: str | None = None,
        person_properties: Properties | None = None,
        groups: Groups | None = None,
        group_properties: Mapping[str, Properties] | None = None,
    ) -> bool | str | None: ...
    @overload
    async def get_feature_flag(
        self,
        ctx: Ctx,
        key: str,
        *,
        distinct_id: str | None = None,
        person_properties: Properties | None = None,
        groups: Groups | None = None,
        group_properties: Mapping[str, Properties] | None = None,
        default: D,
    ) -> bool | str | D: ...
    async def get_feature_flag(
        self,
        ctx: Ctx,
        key: str,
        *,
        distinct_id: str | None = None,
        person_properties: Properties | None = None,
        groups: Groups | None = None,
        group_properties: Mapping[str, Properties] | None = None,
        default: Any = None,
    ) -> Any:
        """The flag's value for a person: True or the variant's key when it matches, False when off.

        `default` stands in when there is no value: the flag is unknown, definitions are not loaded,
        or there is no verdict here because it depends on what was not passed; a warning says which,
        once. A query that reads a flag runs again when that flag changes.

            match await posthog.get_feature_flag(ctx, "discount-campaign"): ...
        """
        person = await self._person(ctx, distinct_id)
        if person is None:
            raise PostHogError(
                "posthog.get_feature_flag needs a distinct id: sign the caller in, pass "
                "distinct_id, or give PostHog(…) an identify callback."
            )
        arguments = {
            "key": key,
            "distinctId": person,
            "personProperties": _json(person_properties, "person_properties"),
            "groups": _json({k: str(each) for k, each in (groups or {}).items()}, "groups"),
            "groupProperties": _json(group_properties, "group_properties"),
        }
        found = await ctx.run_query(self._component.flags.evaluate, arguments)
        if found["state"] in ("match", "off"):
            return found["value"]
        self._warn_once(ctx, key, found)
        return default

    @overload
    async def is_feature_enabled(
        self,
        ctx: Ctx,
        key: str,
        *,
        distinct_id: str | None = None,
        person_properties: Properties | None = None,
        groups: Groups | None = None,
        group_properties: Mapping[str, Properties] | None = None,
    ) -> bool | None: ...
    @overload
    async def is_feature_enabled(
        self,
        ctx: Ctx,
        key: str,
        *,
        distinct_id: str | None = None,
        person_properties: Properties | None = None,
        groups: Groups | None = None,
        group_properties: Mapping[str, Properties] | None = None,
        default: D,
    ) -> bool | D: ...
    async def is_feature_enabled(
        self,
        ctx: Ctx,
        key: str,
        *,
        distinct_id: str | None = None,
        person_properties: Properties | None = None,
        groups: Groups | None = None,
        group_properties: Mapping[str, Properties] | None = None,
        default: Any = None,
    ) -> Any:
        """Whether the flag matches a person, as True or any variant; as `get_feature_flag` else."""
        nothing = object()
        value = await self.get_feature_flag(
            ctx,
            key,
            distinct_id=distinct_id,
            person_properties=person_properties,
            groups=groups,
            group_properties=group_properties,
            default=nothing,
        )
        return default if value is nothing else value is not False

    async def _person(self, ctx: Ctx, distinct_id: str | None) -> str | None:
        """Whose call it is; `ctx.user_id` comes last, because reading it makes a query theirs."""
        if self._identify is not None:
            found = self._identify(ctx)
            named = await found if inspect.isawaitable(found) else found
            if named is not None:
                return named
        return distinct_id if distinct_id is not None else ctx.user_id

    async def _record(self, ctx: MutationCtx | ActionCtx, event: Event) -> str:
        uuid, name = str(event["uuid"]), event["event"]
        try:
            kept = _hooked(self._hooks, event)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            ctx.log("warn", f"posthog: before_send failed, event {name!r} is dropped. {problem}")
            return uuid
        if kept is None:
            return uuid
        await ctx.run_mutation(self._component.lib.capture, {"event": events.to_json(kept)})
        return str(kept["uuid"])

    def _warn_once(self, ctx: Ctx, key: str, found: Mapping[str, Any]) -> None:
        text = _WARNINGS[found["state"]].format(key=key, detail=found["detail"])
        if (key, text) not in self._warned:
            if len(self._warned) >= _MAX_WARNED:
                self._warned.clear()
            self._warned.add((key, text))
            ctx.log("warn", text)


_WARNINGS = {
    "unknown": "posthog: there is no flag {key!r}. It gives the default until it is created.",
    "no_verdict": "posthog: flag {key!r} has no verdict here: {detail}. It gives the default.",
    "not_loaded": "posthog: flag definitions are not loaded yet, so {key!r} gives the default.",
    "no_key": "posthog: flag {key!r} gives the default, because no definitions can be loaded. Set "
    "POSTHOG_PERSONAL_API_KEY to a phs_ or phx_ key.",
}


def _writer(ctx: Ctx, call: str) -> MutationCtx | ActionCtx:
    if isinstance(ctx, (MutationCtx, ActionCtx)):
        return ctx
    raise PostHogError(
        f"posthog.{call} can't run in query '{ctx.function_name}': queries re-run and write "
        "nothing. Call it from a mutation or action."
    )


def _hooked(hooks: Sequence[BeforeSend], event: Event) -> Event | None:
    """The event as the hooks leave it; None when one drops it."""
    for hook in hooks:
        changed = hook(event)
        if changed is None:
            return None
        event = events.plain(changed, "what before_send returned")
    return event


def _stamp(timestamp: datetime | str | None, uuid: UUID | str | None) -> events.Stamp:
    now_ms = int(time.time() * 1000)
    return events.Stamp.of(
        events.event_uuid(now_ms, uuid4().int) if uuid is None else uuid,
        now_ms if timestamp is None else timestamp,
    )


def _json(values: Mapping[str, Any] | None, what: str) -> str:
    return json.dumps(events.plain(values, what)) if values else "{}"

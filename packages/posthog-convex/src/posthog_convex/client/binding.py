"""A component bound to an app: whose call it is, the app's hooks, warnings.

Owns what every call of `PostHog` needs. Never evaluates or sends. One invariant: a hook of the app
that fails costs its event and a warning, never the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from posthog_convex import events
from posthog_convex.client.arguments import BeforeSend, Ctx, Identify
from posthog_convex.events import Event
from pyconvex import ActionCtx, MutationCtx
from pyconvex.functions import ComponentReference

#: Warnings remembered, so that each is written once a process and not at every call.
_MAX_WARNED = 1_000


class PostHogError(Exception):
    """A call that can't be made here; nothing was recorded, and the message says what to do."""


class Remembered(set[object]):
    """A set that starts over when it is full."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def add(self, element: object) -> None:
        if len(self) >= self._most:
            self.clear()
        super().add(element)


class Binding:
    """The component, and what the app has said about its events and callers."""

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
        self._warned = Remembered(_MAX_WARNED)

    async def _person(self, ctx: Ctx, distinct_id: str | None) -> str | None:
        """Whose call it is; `ctx.user_id` comes last, because reading it makes a query theirs."""
        if self._identify is not None:
            found = self._identify(ctx)
            named = await found if inspect.isawaitable(found) else found
            if named is not None:
                return named
        return distinct_id if distinct_id is not None else ctx.user_id

    async def _needed_person(self, ctx: Ctx, call: str, distinct_id: str | None) -> str:
        person = await self._person(ctx, distinct_id)
        if person is None:
            raise PostHogError(
                f"posthog.{call} needs a distinct id: sign the caller in, pass distinct_id, or "
                "give PostHog(…) an identify callback."
            )
        return person

    async def _record(self, ctx: MutationCtx | ActionCtx, event: Event) -> str:
        """Queue an event as the hooks leave it; returns its uuid, dropped or not."""
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

    def _warn_once(self, ctx: Ctx, about: object, text: str) -> None:
        """Log a warning, unless this process has logged one about the same."""
        if about not in self._warned:
            self._warned.add(about)
            ctx.log("warn", text)


def writer(ctx: Ctx, call: str) -> MutationCtx | ActionCtx:
    """The context of a call that records something. Raises `PostHogError` in a query."""
    if isinstance(ctx, (MutationCtx, ActionCtx)):
        return ctx
    raise PostHogError(
        f"posthog.{call} can't run in query '{ctx.function_name}': queries re-run and write "
        "nothing. Call it from a mutation or action."
    )


def asker(ctx: Ctx, call: str) -> ActionCtx:
    """The context of a call that asks PostHog now. Raises `PostHogError` elsewhere."""
    if isinstance(ctx, ActionCtx):
        return ctx
    kind = "mutation" if isinstance(ctx, MutationCtx) else "query"
    raise PostHogError(
        f"posthog.{call} can't run in {kind} '{ctx.function_name}': it asks PostHog over HTTP, "
        f"which only actions may. {_INSTEAD.get(call, _READ_LOCALLY)}"
    )


_READ_LOCALLY = "Call it from an action, or read the flag here with get_feature_flag."
_INSTEAD = {
    "reload_feature_flags": "Call it from an action; the lane refreshes flags by itself anyway."
}


def _hooked(hooks: Sequence[BeforeSend], event: Event) -> Event | None:
    """The event as the hooks leave it; None when one drops it."""
    for hook in hooks:
        changed = hook(event)
        if changed is None:
            return None
        event = events.plain(changed, "what before_send returned")
    if hooks:
        for name in ("uuid", "event", "distinct_id", "timestamp"):
            if not isinstance(event.get(name), str) or not event[name].strip():
                raise events.EventError(f"what before_send returned has no {name}")
    return event

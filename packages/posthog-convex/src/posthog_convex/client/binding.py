"""A component bound to an app: whose call it is, what its hooks see, warnings.

Owns what every call of `PostHog` needs; `hooks` asks the app's hooks. Never evaluates or sends. One
invariant: a hook of the app that fails costs its event and a warning, never the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Never, TypeAlias, Unpack
from weakref import WeakKeyDictionary

from posthog_convex import events
from posthog_convex.client.arguments import BeforeSend, Ctx, Identify, unobserved_now_ms
from posthog_convex.client.hooks import Hooks
from posthog_convex.client.slips import PostHogError, check_component, check_ctx, no_option
from posthog_convex.component import EVENTS_QUEUE, reported
from posthog_convex.component.reported import ReportedExposure, Seen
from posthog_convex.events import Event, Exposure, FlagDetails, Properties, flag_called
from posthog_convex.exceptions import MASK_PATTERNS, FrameRules, VariableRules
from pyconvex import ActionCtx, MutationCtx
from pyconvex.functions import ComponentReference
from pyconvex.runtime.app.loader import APP_PACKAGE

#: What becomes of an argument's properties before an event is made of them.
Fit: TypeAlias = Callable[[Properties | None, str], Properties | None]
#: Warnings remembered, so that each is written once a process and not at every call.
_MAX_WARNED = 1_000
#: What str() and its like make of an id that is missing; PostHog refuses to merge these.
_TEXTS_OF_NOTHING = frozenset({"None", "none", "null", "undefined", "NaN", "[object Object]"})
#: What stands between a function of the app and whoever called it.
_CARRIERS = ("pyconvex", "posthog_convex", "asyncio")


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
        super_properties: Properties | None = None,
        send_feature_flag_events: bool = True,
        in_app_modules: Sequence[str] = (),
        capture_exception_code_variables: bool = False,
        code_variables_mask_patterns: Sequence[str] | None = None,
        code_variables_ignore_patterns: Sequence[str] | None = None,
        **unknown: Never,
    ) -> None:
        check_component(component)
        if unknown:
            raise TypeError(no_option(next(iter(unknown))))
        self._component = component
        self._sends_exposures = send_feature_flag_events
        #: What each function call that still runs has reported, so that a loop reports it once.
        self._exposed: WeakKeyDictionary[Ctx, set[str]] = WeakKeyDictionary()
        self._identify = identify
        self._hooks = Hooks(before_send, super_properties)
        self._warned = Remembered(_MAX_WARNED)
        self._frame_rules = FrameRules(
            app_packages=(APP_PACKAGE,),
            in_app_modules=tuple(in_app_modules),
            carriers=_CARRIERS,
        )
        self._variable_rules = (
            _variable_rules(code_variables_mask_patterns, code_variables_ignore_patterns)
            if capture_exception_code_variables
            else None
        )

    async def _person(self, ctx: Ctx, distinct_id: str | None) -> str | None:
        """Whose call it is; `ctx.user_id` comes last, because reading it makes a query theirs."""
        if self._identify is not None:
            distinct_id = await self._chosen_person(ctx, distinct_id)
        if distinct_id is None:
            return ctx.user_id
        if isinstance(distinct_id, str) and distinct_id in _TEXTS_OF_NOTHING:
            self._warn_once(
                ctx,
                ("nothing", distinct_id),
                f"posthog: the distinct id {distinct_id!r} may be a missing one that became text: "
                "everybody is one person then, and PostHog merges nobody into it. Pass None for "
                "nobody.",
            )
        return distinct_id

    async def _chosen_person(self, ctx: Ctx, distinct_id: str | None) -> str | None:
        """Whose call it is, as far as the app says so."""
        if self._identify is not None:
            found = self._identify(ctx)
            named = await found if inspect.isawaitable(found) else found
            if named is not None:
                return named
        return distinct_id

    async def _needed_person(self, ctx: Ctx, call: str, distinct_id: str | None) -> str:
        check_ctx(ctx, call)
        person = await self._person(ctx, distinct_id)
        if person is None:
            raise PostHogError(
                f"posthog.{call} needs a distinct id: sign the caller in, pass distinct_id, or "
                "give PostHog(…) an identify callback."
            )
        return person

    def _built(self, ctx: Ctx, build: Callable[[Fit], Event]) -> Event:
        """An event; of a value that has no JSON form, a warning and the event with null.

        Such values come with an app's data, which must not make its functions fail.
        """
        try:
            return build(_as_given)
        except events.UnfitValue:
            return build(lambda properties, what: self._spared(ctx, properties, what))

    def _spared(self, ctx: Ctx, properties: Properties | None, what: str) -> Properties | None:
        made, told = events.spared(properties, what)
        for text in told:
            self._warn_once(ctx, ("unfit", text), f"posthog: {text}. It is sent as null.")
        return made

    async def _record(self, ctx: MutationCtx | ActionCtx, event: Event) -> str:
        """Queue an event as the hooks leave it; returns its uuid, dropped or not."""
        uuid = str(event["uuid"])  # a hook may change the event in place
        kept = self._hooked(ctx, events.in_session(event, ctx.session_id))
        if kept is None:
            return uuid
        try:
            text = events.to_json(kept)
        except events.TooLarge as error:
            ctx.log("warn", f"posthog: {error}. It is not sent.")
            return uuid
        if isinstance(ctx, MutationCtx):
            await ctx.enqueue(EVENTS_QUEUE, text, component=self._component)
        else:
            await ctx.run_mutation(self._component.lib.capture, {"event": text})
        exposure = Exposure.of_event(kept)
        if exposure is not None:
            # It takes the place of the one that the flag's read reports.
            taken = ReportedExposure(self._component.mount, exposure.slot())
            ctx.report(reported.EXPOSED, reported.to_item(taken))
        return str(kept["uuid"])

    def _expose(self, ctx: Ctx, exposure: Exposure, **details: Unpack[FlagDetails]) -> None:
        """Let an exposure leave with the run's outcome, as the hooks leave it; once a call."""
        seen = self._exposed.setdefault(ctx, set())
        slot = exposure.slot()
        if slot in seen:
            return
        seen.add(slot)
        if self._hooks:
            event = flag_called(exposure, now_ms=unobserved_now_ms(), **details)
            kept = self._hooked(ctx, events.in_session(event, ctx.session_id))
            if kept is None:
                return
            changed = Exposure.of_event(kept) or exposure
            try:
                text = events.exposure_text(kept)
            except events.TooLarge as error:
                ctx.log("warn", f"posthog: {error}. It is not sent.")
                return
            item = ReportedExposure(
                self._component.mount,
                changed.slot(),
                text,
                with_session=ctx.session_id is not None,
            )
        else:
            # The lane makes the event, which most exposures of a value don't become.
            seen_value = Seen(
                exposure.distinct_id, exposure.flag, exposure.value,
                groups={**exposure.groups}, **details,
            )  # fmt: skip
            item = ReportedExposure(self._component.mount, slot, seen=seen_value)
        ctx.report(reported.EXPOSURE, reported.to_item(item), each_caller=True)

    def _hooked(self, ctx: Ctx, event: Event) -> Event | None:
        if not self._hooks:
            return event
        return self._hooks.leave(event, lambda text: ctx.log("warn", text))

    def _warn_once(self, ctx: Ctx, about: object, text: str) -> None:
        """Log a warning, unless this process has logged one about the same."""
        if about not in self._warned:
            self._warned.add(about)
            ctx.log("warn", text)


def _as_given(properties: Properties | None, what: str) -> Properties | None:
    return properties


def _variable_rules(
    mask_patterns: Sequence[str] | None, ignore_patterns: Sequence[str] | None
) -> VariableRules:
    masked = MASK_PATTERNS if mask_patterns is None else tuple(mask_patterns)
    if ignore_patterns is None:
        return VariableRules(masked)
    return VariableRules(masked, tuple(ignore_patterns))


def hooks_of(client: Binding) -> tuple[str, Hooks]:
    """Where the app has mounted the client's component, and the client's hooks."""
    return client._component.mount, client._hooks

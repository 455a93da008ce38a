"""Reporting errors, from every kind of function.

Owns `capture_exception`. Never writes: a report leaves with the run's outcome, so it works in
queries, survives a mutation that rolls back, and comes from the attempt that counts. One invariant:
an error has one id in its run, so reported by hand and then leaving the function it is one event.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from posthog_convex import events
from posthog_convex.client.arguments import Ctx, Groups, unobserved_now_ms
from posthog_convex.client.binding import Binding
from posthog_convex.client.hooks import removed
from posthog_convex.client.results import FlagValues, values_of
from posthog_convex.client.slips import check_ctx
from posthog_convex.client.uncaught import mark_reported
from posthog_convex.component import reported
from posthog_convex.component.reported import ReportedException
from posthog_convex.events import Event, Properties, Stamp
from posthog_convex.exceptions import About, describe
from pyconvex import ActionCtx, MutationCtx
from pyconvex.runlog import ExceptionReport


class ErrorCalls(Binding):
    """Errors; what leaves a function uncaught is reported without a call."""

    async def capture_exception(
        self,
        ctx: Ctx,
        error: BaseException | None = None,
        *,
        distinct_id: str | None = None,
        additional_properties: Properties | None = None,
        groups: Groups | None = None,
        flags: FlagValues | None = None,
        disable_geoip: bool = True,
    ) -> str:
        """Report an error that was caught, by default the one that is being handled.

        It arrives although the mutation rolls back, once, for the attempt that counts; raised on
        and leaving the function it stays one event, with these properties. It may be nobody's: in a
        query it is the caller's only if the query has looked who calls. `flags` as in `capture`.
        Returns the event's uuid.

            except StripeError as error:
                await posthog.capture_exception(ctx, error, additional_properties={"order": order})
        """
        check_ctx(ctx, "capture_exception")
        found = sys.exception() if error is None else error
        if not isinstance(found, BaseException):
            raise TypeError(
                "posthog.capture_exception needs an error: pass one, or call it in an except block"
            )
        described = ctx.describe_exception(found)
        person, for_caller = await self._whose_error(ctx, distinct_id)
        entries = describe(
            found,
            rules=self._frame_rules,
            variables=self._variable_rules,
            caller=sys._getframe(),
        )
        stamp = Stamp.of(described.id, unobserved_now_ms())
        made = self._built(
            ctx,
            lambda fit: events.exception(
                entries,
                distinct_id=person,
                stamp=stamp,
                properties=fit(additional_properties, "additional_properties"),
                groups=groups,
                disable_geoip=disable_geoip,
            ),
        )
        carried = {} if flags is None else events.flag_properties(values_of(flags))
        made["properties"] = _data_of(described) | carried | made["properties"]
        item = self._left(ctx, made, additional_properties or {}, for_caller=for_caller)
        ctx.report(reported.EXCEPTION, reported.to_item(item), durable=True)
        mark_reported(found, self._component.mount, described.id)
        return described.id

    def _left(
        self, ctx: Ctx, event: Event, additional: Properties, *, for_caller: bool
    ) -> ReportedException:
        """What leaves with the run's outcome, as the hooks leave it."""
        mount, uuid = self._component.mount, str(event["uuid"])
        shown = events.in_session(event, ctx.session_id)
        # A hook may change the event in place.
        names, nobody = tuple(shown["properties"]), shown["distinct_id"]
        kept = self._hooked(ctx, shown)
        if kept is None:
            return ReportedException(mount, uuid, None)
        return ReportedException(
            mount,
            uuid,
            self._text_of(ctx, kept, additional),
            for_caller and kept["distinct_id"] == nobody,
            removed=removed(names, kept),
        )

    def _text_of(self, ctx: Ctx, event: Event, additional: Properties) -> str | None:
        """The event's text, without the caller's own properties where they make it too large."""
        try:
            return events.exception_text(event)
        except events.TooLarge as error:
            ctx.log("warn", f"posthog: {error}. additional_properties are left out.")
        properties = {k: v for k, v in event["properties"].items() if k not in additional}
        with suppress(events.TooLarge):  # a hook's doing
            return events.exception_text(event | {"properties": properties})
        return None

    async def _whose_error(self, ctx: Ctx, distinct_id: str | None) -> tuple[str | None, bool]:
        """The person, and whether to leave that to the run: a query that looks is theirs alone."""
        if isinstance(ctx, (MutationCtx, ActionCtx)):
            return await self._person(ctx, distinct_id), False
        person = await self._chosen_person(ctx, distinct_id)
        return person, person is None


def _data_of(error: ExceptionReport) -> dict[str, Any]:
    """The data of a `ConvexError`, as the automatic report has it."""
    return About(data=None if error.data is None else error.data.decode()).properties()

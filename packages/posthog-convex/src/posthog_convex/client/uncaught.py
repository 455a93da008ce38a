"""Errors that leave functions, as the app's `before_send` sees them.

Owns showing each to the hooks and telling the lane what they left of it. Never sends, and never
touches what the function raised. One invariant: whatever a hook does, and if it fails, the call
fails with its own error, and an error that a hook dropped is not sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import ModuleType

from posthog_convex import events
from posthog_convex.client.binding import Binding, hooks_of
from posthog_convex.client.hooks import Hooks, removed
from posthog_convex.component import errors, reported
from posthog_convex.component.reported import ReportedException
from posthog_convex.events import Event
from pyconvex.runlog import ExceptionReport
from pyconvex.runlog.hooks import CalledOut, CallScope

_LOG = logging.getLogger("posthog_convex")
#: On errors that a function has reported by hand: for which component, and under which id.
_REPORTED = "__posthog_convex_reported__"


class UncaughtHook:
    """Told of every call (`pyconvex.runlog.hooks.IsolateHook`); cares for runs that fail."""

    def __init__(self, clients: Iterable[Binding]) -> None:
        self._by_mount: dict[str, list[Hooks]] = {}
        for mount, hooks in map(hooks_of, clients):
            self._by_mount.setdefault(mount, []).append(hooks)

    def entered(self, scope: CallScope) -> None:
        """Nothing to do yet."""

    def left(self, scope: CallScope, error: BaseException | None) -> None:
        if scope.call or not isinstance(error, (Exception, asyncio.CancelledError)):
            return
        described = scope.describe(error)
        for mount, hooks in self._by_mount.items():
            if not was_reported(error, mount, described.id):
                self._tell(scope, mount, hooks, described)

    def span_id(self, scope: CallScope) -> str:
        return ""

    def called(self, scope: CallScope, called: CalledOut) -> None:
        """Nothing to do."""

    def _tell(
        self, scope: CallScope, mount: str, hooks: list[Hooks], described: ExceptionReport
    ) -> None:
        made = errors.uncaught(described, scope.run_so_far())
        shown = tuple(made["properties"])
        event: Event | None = made
        for each in hooks:
            event = None if event is None else each.leave(event, _warn)
        text = None if event is None else _text_of(event)
        gone = () if event is None else removed(shown, event)
        for left in (text, None):
            # One that finds no room is dropped: a hook may have masked what it must not tell.
            item = ReportedException(mount, described.id, left, uncaught=True, removed=gone)
            if scope.report(reported.EXCEPTION, reported.to_item(item), durable=True, component=""):
                return


def hook(modules: Sequence[ModuleType]) -> UncaughtHook | None:
    """For the host: what the `PostHog`s at the top of the app's modules do about errors."""
    found = {
        id(value): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Binding) and hooks_of(value)[1]
    }
    return UncaughtHook(found.values()) if found else None


def mark_reported(error: BaseException, mount: str, error_id: str) -> None:
    """Note that a function has reported this error by hand."""
    with suppress(Exception):  # its class may not have it
        setattr(error, _REPORTED, (*getattr(error, _REPORTED, ()), (mount, error_id)))


def was_reported(error: BaseException, mount: str, error_id: str) -> bool:
    """Whether it was, in this run: errors of another have other ids."""
    return (mount, error_id) in getattr(error, _REPORTED, ())


def _text_of(event: Event) -> str | None:
    """None for one that a hook has made too large: unhooked it must not be sent either."""
    try:
        return events.exception_text(event)
    except events.TooLarge as error:
        _warn(f"posthog: {error}. It is not sent.")
        return None


def _warn(text: str) -> None:
    _LOG.warning("%s", text)

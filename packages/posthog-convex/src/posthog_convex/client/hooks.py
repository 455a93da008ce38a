"""The app's `before_send`: what may change or drop an event before it is recorded.

Owns asking the hooks one after the other. Never records. One invariant: a hook that fails, or
returns what is no event, costs the event and a warning, never more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from posthog_convex import events
from posthog_convex.client.arguments import BeforeSend
from posthog_convex.events import Event, Properties


class Hooks:
    """The hooks of one `PostHog`, in order; false when there are none.

    >>> Hooks(lambda event: None).leave({"event": "a"}, print) is None
    True
    """

    def __init__(
        self,
        before_send: BeforeSend | Sequence[BeforeSend] | None,
        super_properties: Properties | None = None,
    ) -> None:
        if before_send is None:
            self._hooks: tuple[BeforeSend, ...] = ()
        else:
            self._hooks = (before_send,) if callable(before_send) else tuple(before_send)
        if super_properties:
            self._hooks = (_adding(super_properties), *self._hooks)

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def leave(self, event: Event, warn: Callable[[str], None]) -> Event | None:
        """The event as the hooks leave it; None when one drops it, or fails."""
        name = event["event"]
        try:
            return self._through(event)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            warn(f"posthog: before_send failed, event {name!r} is dropped. {problem}")
            return None

    def _through(self, event: Event) -> Event | None:
        for hook in self._hooks:
            changed = hook(event)
            if changed is None:
                return None
            event = events.plain(changed, "what before_send returned")
        if self._hooks:
            for name in ("uuid", "event", "distinct_id", "timestamp"):
                if not isinstance(event.get(name), str) or not event[name].strip():
                    raise events.EventError(f"what before_send returned has no {name}")
            if not isinstance(event.setdefault("properties", {}), dict):
                raise events.EventError("what before_send returned has properties that are no dict")
        return event


def _adding(super_properties: Properties) -> BeforeSend:
    """The hook that stands before the app's own. Raises `EventError`."""
    added = events.plain(super_properties, "super_properties")

    def add(event: Event) -> Event:
        return event | {"properties": event["properties"] | added}

    return add


def removed(shown: Iterable[str], kept: Event) -> tuple[str, ...]:
    """Which of the properties that hooks were shown they took away."""
    left = kept.get("properties")
    return tuple(name for name in shown if not isinstance(left, dict) or name not in left)

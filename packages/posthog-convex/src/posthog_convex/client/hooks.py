"""The app's `before_send`: what may change or drop an event before it is recorded.

Owns asking the hooks one after the other. Never records. One invariant: a hook that fails, or
returns what is no event, costs the event and a warning, never more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from posthog_convex import events
from posthog_convex.client.arguments import BeforeSend
from posthog_convex.events import Event


class Hooks:
    """The hooks of one `PostHog`, in order; false when there are none.

    >>> Hooks(lambda event: None).leave({"event": "a"}, print) is None
    True
    """

    def __init__(self, before_send: BeforeSend | Sequence[BeforeSend] | None) -> None:
        if before_send is None:
            self._hooks: tuple[BeforeSend, ...] = ()
        else:
            self._hooks = (before_send,) if callable(before_send) else tuple(before_send)

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
        return event

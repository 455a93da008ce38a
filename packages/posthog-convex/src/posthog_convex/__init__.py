"""PostHog for Python functions on pyconvex: events, flags, errors, traces.

Unofficial: not affiliated with or endorsed by PostHog or Convex. What serves people without our
host (`flags`, `events`, `exceptions` below here) imports nothing of it, so these names load
late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posthog_convex.beside import FlagDefinitionsFromConvex
    from posthog_convex.client import (
        FlagResult,
        FlagsAndPayloads,
        FlagState,
        PollState,
        PostHog,
        PostHogError,
        Reload,
        Reloaded,
        SendFeatureFlags,
        Status,
    )
    from posthog_convex.component import posthog_component
    from posthog_convex.events import EventError

__version__ = "0.1.0"

__all__ = [
    "EventError",
    "FlagDefinitionsFromConvex",
    "FlagResult",
    "FlagState",
    "FlagsAndPayloads",
    "PollState",
    "PostHog",
    "PostHogError",
    "Reload",
    "Reloaded",
    "SendFeatureFlags",
    "Status",
    "posthog_component",
]

_HOMES = {name: "posthog_convex.client" for name in __all__} | {
    "EventError": "posthog_convex.events",
    "FlagDefinitionsFromConvex": "posthog_convex.beside",
    "posthog_component": "posthog_convex.component",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

"""A receiver of Convex's webhook log stream: verifies, keeps, and forwards to PostHog.

Owns an ASGI app for deployments that run elsewhere, with functions in any language. Never links a
person: Convex's webhook does not say who called. One invariant: what was answered with 200 is on
disk, and leaves it when PostHog has taken it, or set aside with its reason.

    uvicorn posthog_convex.receive:app

The app is made of the environment when it is first asked for; `docs/posthog/receive.md` lists the
variables. `posthog-convex receive` is the same as a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posthog_convex.receive.app import create_app
    from posthog_convex.receive.settings import Settings

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> Any:
    match name:
        case "app":
            import os

            from posthog_convex.receive.app import create_app
            from posthog_convex.receive.settings import Settings

            return create_app(Settings.of(os.environ))
        case "create_app":
            from posthog_convex.receive.app import create_app

            return create_app
        case "Settings":
            from posthog_convex.receive.settings import Settings

            return Settings
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

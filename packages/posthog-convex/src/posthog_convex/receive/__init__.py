"""A receiver of Convex's webhook log stream: verifies, keeps, and forwards to PostHog.

Owns an ASGI app for deployments that run elsewhere, with functions in any language. Never links a
person: Convex's webhook does not say who called. One invariant: what was answered with 200 is on
disk, and leaves it when PostHog has taken it, or set aside with its reason.

    uvicorn posthog_convex.receive:app

`docs/posthog/receive.md` lists the variables that it reads. `posthog-convex receive` is the same
as a command.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import Message, Receive, Scope, Send

    from posthog_convex.receive.receiver import create_app
    from posthog_convex.receive.settings import Settings

__all__ = ["Settings", "app", "create_app"]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The receiver that the environment describes, for an ASGI server.

    It is made when the server first calls it. What is wrong with the environment ends the start.
    """
    from posthog_convex.receive.settings import SettingsError

    try:
        made = _of_environment()
    except SettingsError as error:
        if scope["type"] != "lifespan":
            raise
        await receive()
        await send({"type": "lifespan.startup.failed", "message": f"{error}."})
        return
    await made(scope, receive, _plainly(send) if scope["type"] == "lifespan" else send)


def _plainly(send: Send) -> Send:
    """Tells what somebody can mend as a sentence; Starlette makes a traceback of every error."""
    from posthog_convex.receive.settings import SettingsError
    from posthog_convex.receive.spool import SpoolError

    async def told(message: Message) -> None:
        error = sys.exc_info()[1]
        mendable = isinstance(error, (SettingsError, SpoolError))
        if message["type"] == "lifespan.startup.failed" and mendable:
            message = {**message, "message": f"{error}."}
        await send(message)

    return told


@cache
def _of_environment() -> Starlette:
    from posthog_convex.receive.receiver import create_app
    from posthog_convex.receive.settings import Settings

    return create_app(Settings.of(os.environ))


def __getattr__(name: str) -> Any:
    match name:
        case "create_app":
            from posthog_convex.receive.receiver import create_app

            return create_app
        case "Settings":
            from posthog_convex.receive.settings import Settings

            return Settings
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The page of paths: what persons did next, or before.

Owns its form. Each place leads to what happened from there.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.paths import PAUSE_MINUTES, Paths, PathStep
from posthog_local.query.refusal import QueryRefused
from posthog_local.ui.insights.asked import Asked
from posthog_local.ui.insights.desk import Desk


async def paths_page(desk: Desk, request: Request) -> Response:
    """Answers what the address asks."""
    asked, insights = Asked(request.query_params), desk.insights()
    event, time, back = asked.text("event"), asked.time(), asked.text("way") == "before"
    steps, error = list[PathStep](), ""
    try:
        paths = Paths(event=event or None, back=back and bool(event), where=asked.parts())
        steps = await insights.path_steps(paths, time.period(insights.now))
    except QueryRefused as refused:
        error = str(refused)
    rest = [(name, value) for name, value in request.query_params.multi_items()
            if value and name != "event"]  # fmt: skip
    return desk.page(
        "paths.html",
        request,
        error=error,
        steps=steps,
        event=event,
        back=back,
        time=time,
        pause=PAUSE_MINUTES,
        rest=urlencode(rest),
        **await desk.form(request),
    )

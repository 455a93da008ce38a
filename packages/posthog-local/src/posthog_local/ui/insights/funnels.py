"""The page of funnels, and the list of who came to a step or who did not.

Owns their form.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.funnels import LISTED, MAX_STEPS, MIN_STEPS, Funnel, Stage, Steps
from posthog_local.query.refusal import QueryRefused
from posthog_local.ui.insights.asked import Asked
from posthog_local.ui.insights.desk import Desk

_WINDOWS = {1: "an hour", 24: "a day", 168: "a week", 336: "14 days", 720: "30 days"}
_LEAST_ROOM = 3


async def funnels_page(desk: Desk, request: Request) -> Response:
    """Answers what the address asks."""
    asked, insights = Asked(request.query_params), desk.insights()
    time, names = asked.time(), _steps(asked)
    lines, error = list[Steps](), ""
    if len(names) >= MIN_STEPS:
        try:
            lines = await insights.steps(_funnel(asked), time.period(insights.now))
        except QueryRefused as refused:
            error = str(refused)
    room = max(_LEAST_ROOM, min(MAX_STEPS, len(names) + 1))
    query = [(name, value) for name, value in request.query_params.multi_items() if value]
    return desk.page(
        "funnels.html",
        request,
        room=(*names, *[""] * MAX_STEPS)[:room],
        asked=len(names) >= MIN_STEPS,
        lines=lines,
        error=error,
        time=time,
        window=_window(asked),
        windows=_WINDOWS,
        breakdown=asked.text("breakdown"),
        persons="/funnels/persons?" + urlencode(query),
        **await desk.form(request),
    )


async def persons_page(desk: Desk, request: Request) -> Response:
    """Who came to a step of the funnel that the address asks, or who came no further before it."""
    asked, insights = Asked(request.query_params), desk.insights()
    names, gone = _steps(asked), asked.text("gone") == "yes"
    step = asked.choice("at", range(2 if gone else 1, len(names) + 1), 0)
    if step == 0:
        return desk.page("missing.html", request, status=404, what="step of a funnel")
    found, error = [], ""
    try:
        period = asked.time().period(insights.now)
        found = [*await insights.persons(_funnel(asked), period, step, gone=gone)]
    except QueryRefused as refused:
        error = str(refused)
    whole = [(name, value) for name, value in request.query_params.multi_items()
             if name not in ("at", "gone")]  # fmt: skip
    return desk.page(
        "funnel_persons.html",
        request,
        error=error,
        found=found[:LISTED],
        more=len(found) > LISTED,
        step=names[step - 1],
        before=names[step - 2],
        gone=gone,
        funnel="/funnels?" + urlencode(whole),
    )


def _steps(asked: Asked) -> list[str]:
    return [name for name in asked.texts("step") if name][:MAX_STEPS]


def _window(asked: Asked) -> int:
    return asked.choice("window", tuple(_WINDOWS), 24)


def _funnel(asked: Asked) -> Funnel:
    return Funnel(
        stages=tuple(Stage(event=name) for name in _steps(asked)),
        window_hours=_window(asked),
        where=asked.parts(),
        breakdown=asked.property("breakdown"),
    )

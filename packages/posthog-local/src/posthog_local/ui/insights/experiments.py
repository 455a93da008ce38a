"""The page of experiments: a flag's variants beside each other.

Owns its form, and what is said of the counts.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from posthog_local.query.experiments import SEVERAL, Against, Experiment, Outcome, against
from posthog_local.query.refusal import QueryRefused
from posthog_local.ui.insights.asked import Asked
from posthog_local.ui.insights.desk import Desk


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as it is shown: what came of it, its share of all, how it is beside the control."""

    outcome: Outcome
    share: float
    against: Against | None


async def experiments_page(desk: Desk, request: Request) -> Response:
    """Answers what the address asks."""
    asked, insights = Asked(request.query_params), desk.insights()
    flag, goal, time = asked.text("flag"), asked.text("goal"), asked.time()
    outcomes, error = list[Outcome](), ""
    if flag and goal:
        try:
            experiment = Experiment(flag=flag, goal=goal, where=asked.parts())
            outcomes = await insights.outcomes(experiment, time.period(insights.now))
        except QueryRefused as refused:
            error = str(refused)
    compared = [one for one in outcomes if one.variant != SEVERAL]
    several = next((one.persons for one in outcomes if one.variant == SEVERAL), 0)
    return desk.page(
        "experiments.html",
        request,
        section="flags",
        error=error,
        flag=flag,
        goal=goal,
        flags=[one["key"] for one in desk.store.flags.flags],
        time=time,
        asked=bool(flag and goal),
        shown=_shown(compared),
        several=several,
        **await desk.form(request, goal or None),
    )


def _shown(outcomes: list[Outcome]) -> list[Shown]:
    whole = sum(one.persons for one in outcomes)
    return [
        Shown(
            outcome=one,
            share=one.persons / whole if whole else 0.0,
            against=against(outcomes[0], one) if at else None,
        )
        for at, one in enumerate(outcomes)
    ]

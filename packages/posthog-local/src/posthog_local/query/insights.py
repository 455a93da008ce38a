"""Insights answered: a question goes to the warehouse, and its rows become what is shown.

Owns the way there and back alone; what a question means stands beside it. Pages and the API share
it, so they say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from posthog_local.query import (
    experiments,
    funnels,
    lifecycle,
    metrics,
    pathlinks,
    returns,
    stickiness,
    trends,
)
from posthog_local.query import paths as path_questions
from posthog_local.query.analyst import Analyst
from posthog_local.query.experiments import Experiment, Outcome
from posthog_local.query.filters import Cohorts
from posthog_local.query.funnels import Funnel, Steps
from posthog_local.query.lifecycle import Lifecycle
from posthog_local.query.metrics import Measured, Metric
from posthog_local.query.pathlinks import Link, PathLinks
from posthog_local.query.paths import Paths, PathStep
from posthog_local.query.period import Period, intervals
from posthog_local.query.returns import Retention, Row
from posthog_local.query.stickiness import Stickiness
from posthog_local.query.trends import Line, Series, Trend


class Insights:
    """Answers from the warehouse, as of one moment and with the cohorts of that moment.

    Every method raises `QueryRefused` for what cannot be answered.
    """

    def __init__(self, analyst: Analyst, cohorts: Cohorts, now: datetime) -> None:
        self._analyst = analyst
        self._cohorts = cohorts
        self.now = now

    async def lines(self, trend: Trend, one: Series, period: Period) -> list[Line]:
        """The lines of one series."""
        begins = intervals(period, trend.interval)
        asked = trends.sql_of(trend, one, period, self.now, self._cohorts)
        return trends.lines_of((await self._analyst.ask(*asked)).rows, begins)

    async def steps(self, funnel: Funnel, period: Period) -> list[Steps]:
        """The steps of a funnel, for each value that it is split by."""
        asked = funnels.sql_of(funnel, period, self.now, self._cohorts)
        return funnels.steps_of(funnel, (await self._analyst.ask(*asked)).rows)

    async def persons(
        self, funnel: Funnel, period: Period, step: int, *, gone: bool
    ) -> Sequence[tuple[str, datetime]]:
        """Who came to a step of a funnel, or no further than the one before: an id, and when."""
        asked = funnels.persons_sql(funnel, period, step, self.now, self._cohorts, gone=gone)
        return [(row[0], row[1]) for row in (await self._analyst.ask(*asked)).rows]

    async def rows(self, retention: Retention) -> list[Row]:
        """The table of a retention."""
        asked = returns.sql_of(retention, self.now, self._cohorts)
        return returns.rows_of(retention, (await self._analyst.ask(*asked)).rows, self.now)

    async def path_steps(self, paths: Paths, period: Period) -> list[PathStep]:
        """What persons did next, or before, step by step."""
        asked = path_questions.sql_of(paths, period, self.now, self._cohorts)
        return path_questions.steps_of((await self._analyst.ask(*asked)).rows)

    async def path_links(self, links: PathLinks, period: Period) -> list[Link]:
        """How many visits went from one step to another."""
        asked = pathlinks.sql_of(links, period, self.now, self._cohorts)
        return pathlinks.links_of((await self._analyst.ask(*asked)).rows)

    async def persons_by_intervals(self, habit: Stickiness, period: Period) -> list[int]:
        """How many persons were there in one interval, in two, and so on."""
        many = len(intervals(period, habit.interval))
        asked = stickiness.sql_of(habit, period, self.now, self._cohorts)
        return stickiness.persons_of((await self._analyst.ask(*asked)).rows, many)

    async def lives(self, life: Lifecycle, period: Period) -> dict[str, list[int]]:
        """New, returning, resurrecting and dormant persons of each interval."""
        begins = intervals(period, life.interval)
        asked = lifecycle.sql_of(life, period, self.now, self._cohorts)
        return lifecycle.lists_of((await self._analyst.ask(*asked)).rows, begins)

    async def measured(self, metric: Metric, period: Period) -> dict[str, Measured]:
        """What came of each variant of a flag, in sums."""
        asked = metrics.sql_of(metric, period, self.now, self._cohorts)
        return metrics.measured_of(metric, (await self._analyst.ask(*asked)).rows)

    async def outcomes(self, experiment: Experiment, period: Period) -> list[Outcome]:
        """What came of each variant of a flag."""
        asked = experiments.sql_of(experiment, period, self.now, self._cohorts)
        return experiments.outcomes_of((await self._analyst.ask(*asked)).rows)

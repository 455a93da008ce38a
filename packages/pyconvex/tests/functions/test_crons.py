"""Declaring cron jobs, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, time, timedelta, timezone
from typing import Any

import pytest

from pyconvex import MutationCtx, api, cron_jobs, mutation
from pyconvex.functions import CronJobs, DefinitionError
from pyconvex.functions.schedules import Calendar, Every


@mutation
async def tidy(ctx: MutationCtx, depth: int, dry: bool = False) -> None: ...


def declared(declare: Callable[[CronJobs], None]) -> Any:
    crons = cron_jobs()
    declare(crons)
    (job,) = crons.jobs.values()
    return job


@pytest.mark.parametrize(
    ("declare", "schedule"),
    [
        (lambda c: c.interval("a", timedelta(minutes=5), tidy, 1), Every(300)),
        (lambda c: c.interval("a", 30, tidy, depth=1), Every(30)),
        (lambda c: c.hourly("a", 17, tidy, 1), Calendar("17 * * * *", 60)),
        (lambda c: c.hourly("a", None, tidy, 1), Calendar("0 * * * *", 3600)),
        (lambda c: c.daily("a", time(17, 30), tidy, 1), Calendar("30 17 * * *", 60)),
        (lambda c: c.daily("a", time(17, 30, tzinfo=UTC), tidy, 1), Calendar("30 17 * * *", 60)),
        (lambda c: c.daily("a", 17, tidy, 1), Calendar("0 17 * * *", 3600)),
        (lambda c: c.weekly("a", "sunday", time(0, 5), tidy, 1), Calendar("5 0 * * 0", 60)),
        (lambda c: c.weekly("a", "saturday", 3, tidy, 1), Calendar("0 3 * * 6", 3600)),
        (lambda c: c.monthly("a", 31, time(16), tidy, 1), Calendar("0 16 31 * *", 60)),
        (lambda c: c.cron("a", "*/5 0 1 JAN *", tidy, 1), Calendar("*/5 0 1 JAN *", 60)),
    ],
)
def test_schedules(declare: Callable[[CronJobs], None], schedule: object) -> None:
    job = declared(declare)
    assert job.schedule == schedule
    assert job.arguments == {"depth": 1}
    assert job.target is tidy


def test_a_reference_takes_its_arguments_in_a_dictionary() -> None:
    job = declared(lambda c: c.interval("a", 1, api.lib.tidy, {"depth": 3}))
    assert job.arguments == {"depth": 3}
    assert declared(lambda c: c.interval("a", 1, api.lib.tidy)).arguments == {}


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda c: c.interval("a", 0, tidy, 1), "Cron job 'a': an interval is at least 1 second."),
        (lambda c: c.interval("a", 1.5, tidy, 1), "whole number of seconds, not 1.5"),
        (lambda c: c.interval("a", timedelta(milliseconds=1), tidy, 1), "whole number of seconds"),
        (lambda c: c.hourly("a", 60, tidy, 1), "the minute must be a whole number from 0 to 59"),
        (lambda c: c.hourly("a", True, tidy, 1), "the minute must be a whole number"),
        (lambda c: c.daily("a", 24, tidy, 1), "the hour must be a whole number from 0 to 23"),
        (lambda c: c.daily("a", time(1, 2, 3), tidy, 1), "an hour and a minute in UTC"),
        (
            lambda c: c.daily("a", time(1, tzinfo=timezone(timedelta(hours=1))), tidy, 1),
            "an hour and a minute in UTC",
        ),
        (lambda c: c.weekly("a", "Monday", 1, tidy, 1), "'Monday' is no day of the week"),
        (lambda c: c.monthly("a", 32, 1, tidy, 1), "the day must be a whole number from 1 to 31"),
        (lambda c: c.cron("a", "0 0 30 2 *", tidy, 1), "Cron job 'a': "),
        (lambda c: c.cron("a", "@daily", tidy, 1), "it takes five fields"),
        (lambda c: c.cron("", "* * * * *", tidy, 1), "use printable ASCII"),
        (lambda c: c.cron("jöb", "* * * * *", tidy, 1), "use printable ASCII"),
    ],
)
def test_refused(declare: Callable[[Any], None], text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        declare(cron_jobs())


def test_a_name_stands_for_one_job() -> None:
    crons = cron_jobs()
    crons.interval("a", 1, tidy, 1)
    with pytest.raises(DefinitionError, match="Cron identifier registered twice: a"):
        crons.hourly("a", 1, tidy, 1)


def test_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="is no function to run"):
        cron_jobs().interval("a", 1, print)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="takes 2 arguments, 3 were given"):
        cron_jobs().interval("a", 1, tidy, 1, True, 3)  # type: ignore[call-overload]

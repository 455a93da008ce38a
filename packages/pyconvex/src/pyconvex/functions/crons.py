"""`crons.py`: jobs that run again and again.

Owns the declarations. Never runs a job and never checks whether a function exists: the deploy does.
One invariant: a job's name is its identity, so that deploys know which jobs are old and which new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, time, timedelta
from typing import Any, Literal, ParamSpec, TypeAlias, overload

from pyconvex.functions.arguments import named_arguments
from pyconvex.functions.errors import DefinitionError
from pyconvex.functions.references import FunctionReference, ModuleReference
from pyconvex.functions.registration import ActionFunction, MutationFunction
from pyconvex.functions.schedules import Calendar, Every, Schedule, ScheduleError, check

P = ParamSpec("P")

Named: TypeAlias = FunctionReference | ModuleReference
DayOfWeek: TypeAlias = Literal[
    "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"
]
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

_MINUTE_S = 60
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class CronJob:
    """One job: its name, when it runs, what, and with which arguments."""

    name: str
    schedule: Schedule
    target: Any
    arguments: Mapping[str, Any]


class CronJobs:
    """The cron jobs of an app or component: `crons = cron_jobs()` in `crons.py`.

    Every method takes the job's name, its schedule, a mutation or action of the same app or
    component, and the function's arguments. All times are UTC.

        crons = cron_jobs()
        crons.interval("clear presence", timedelta(minutes=5), presence.clear)
        crons.daily("report", time(6, 30), reports.send, kind="daily")
        crons.cron("payroll", "0 9 1,15 * *", api.payroll.run, {"dry": False})

    A job runs once at a time: what becomes due meanwhile is left out, and so is what was missed
    while the server was down, but for one run.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, CronJob] = {}

    @overload
    def interval(
        self,
        name: str,
        every: timedelta | int,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def interval(
        self,
        name: str,
        every: timedelta | int,
        function: Named,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> None: ...
    def interval(
        self, name: str, every: timedelta | int, function: Any, /, *args: Any, **kwargs: Any
    ) -> None:
        """Run every so many seconds, or every `timedelta` of whole seconds; first at the deploy."""
        seconds = every.total_seconds() if isinstance(every, timedelta) else every
        if isinstance(seconds, bool) or seconds != int(seconds):
            raise _wrong(name, f"an interval is a whole number of seconds, not {every!r}")
        self._add(name, Every(int(seconds)), function, args, kwargs)

    @overload
    def hourly(
        self,
        name: str,
        minute: int | None,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def hourly(
        self,
        name: str,
        minute: int | None,
        function: Named,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> None: ...
    def hourly(
        self, name: str, minute: int | None, function: Any, /, *args: Any, **kwargs: Any
    ) -> None:
        """Run once an hour, in this minute; with None in one that is chosen for the job."""
        if minute is None:
            self._add(name, Calendar("0 * * * *", _HOUR_S), function, args, kwargs)
            return
        _check_range(name, "minute", minute, 0, 59)
        self._add(name, Calendar(f"{minute} * * * *", _MINUTE_S), function, args, kwargs)

    @overload
    def daily(
        self,
        name: str,
        at: time | int,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def daily(
        self,
        name: str,
        at: time | int,
        function: Named,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> None: ...
    def daily(self, name: str, at: time | int, function: Any, /, *args: Any, **kwargs: Any) -> None:
        """Run once a day at `time(hour, minute)`; with an hour alone, in a minute of it that is
        chosen for the job.
        """
        clock, spread_s = _time_of_day(name, at)
        self._add(name, Calendar(f"{clock} * * *", spread_s), function, args, kwargs)

    @overload
    def weekly(
        self,
        name: str,
        day: DayOfWeek,
        at: time | int,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def weekly(
        self,
        name: str,
        day: DayOfWeek,
        at: time | int,
        function: Named,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> None: ...
    def weekly(
        self, name: str, day: str, at: time | int, function: Any, /, *args: Any, **kwargs: Any
    ) -> None:
        """Run once a week, such as on "monday", at a time as for `daily`."""
        if day not in _DAYS:
            raise _wrong(name, f"{day!r} is no day of the week; one is {', '.join(_DAYS)}")
        clock, spread_s = _time_of_day(name, at)
        self._add(
            name, Calendar(f"{clock} * * {_DAYS.index(day)}", spread_s), function, args, kwargs
        )

    @overload
    def monthly(
        self,
        name: str,
        day: int,
        at: time | int,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def monthly(
        self,
        name: str,
        day: int,
        at: time | int,
        function: Named,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> None: ...
    def monthly(
        self, name: str, day: int, at: time | int, function: Any, /, *args: Any, **kwargs: Any
    ) -> None:
        """Run once a month on this day, at a time as for `daily`; not in months without it."""
        _check_range(name, "day", day, 1, 31)
        clock, spread_s = _time_of_day(name, at)
        self._add(name, Calendar(f"{clock} {day} * *", spread_s), function, args, kwargs)

    @overload
    def cron(
        self,
        name: str,
        expression: str,
        function: MutationFunction[P, Any] | ActionFunction[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def cron(
        self,
        name: str,
        expression: str,
        function: Named,
        arguments: Mapping[str, Any] | None = None,
        /,
    ) -> None: ...
    def cron(self, name: str, expression: str, function: Any, /, *args: Any, **kwargs: Any) -> None:
        """Run by a cron expression of five fields: minute, hour, day of month, month, day of
        week.
        """
        self._add(name, Calendar(expression, _MINUTE_S), function, args, kwargs)

    def _add(
        self,
        name: str,
        schedule: Schedule,
        function: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        if not name or not all(" " <= letter <= "~" for letter in name):
            raise DefinitionError(f"{name!r} is no name of a cron job: use printable ASCII.")
        if name in self.jobs:
            raise DefinitionError(f"Cron identifier registered twice: {name}")
        try:
            check(schedule)
        except ScheduleError as error:
            raise _wrong(name, str(error)) from None
        self.jobs[name] = CronJob(name, schedule, function, named_arguments(function, args, kwargs))


def cron_jobs() -> CronJobs:
    """The cron jobs of this app or component, to be filled; see `CronJobs`.

    >>> from pyconvex.functions import api
    >>> crons = cron_jobs()
    >>> crons.daily("report", time(6, 30), api.reports.send)
    >>> list(crons.jobs)
    ['report']
    """
    return CronJobs()


def _time_of_day(name: str, at: time | int) -> tuple[str, int]:
    """Minute and hour as a cron expression has them, and how far apart jobs are spread."""
    if isinstance(at, time):
        if at.second or at.microsecond or at.tzinfo not in (None, UTC):
            raise _wrong(name, f"a time of day is an hour and a minute in UTC, not {at!r}")
        return f"{at.minute} {at.hour}", _MINUTE_S
    _check_range(name, "hour", at, 0, 23)
    return f"0 {at}", _HOUR_S


def _check_range(name: str, what: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _wrong(name, f"the {what} must be a whole number from {low} to {high}, not {value!r}")


def _wrong(name: str, reason: str) -> DefinitionError:
    return DefinitionError(f"Cron job {name!r}: {reason}.")

"""Trends: what is counted how, in which interval, in which line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from eventtable import BEGIN, Event, EventTable

from posthog_local.query.filters import Line as Where
from posthog_local.query.filters import Property
from posthog_local.query.period import Period, intervals
from posthog_local.query.refusal import QueryRefused
from posthog_local.query.trends import MAX_LINES, OTHER, Line, Series, Trend, lines_of, sql_of

_NOW = datetime(2026, 1, 4, tzinfo=UTC)
_PERIOD = Period(BEGIN, datetime(2026, 1, 4))
_TABLE = EventTable()
_ORDERS = [
    Event("ada", "paid", 1, {"total": 10, "plan": "pro"}, session="s1"),
    Event("ada", "paid", 25, {"total": 20, "plan": "pro"}, session="s1"),
    Event("bob", "paid", 26, {"total": "x", "plan": "free"}, {"city": "Bonn"}, "s2"),
    Event("bob", "seen", 27, {}, {"city": "Bonn"}, "s2"),
    Event("eve", "paid", 73, {"total": 1000}),  # too late
]


def ask(
    one: Series, trend: Trend | None = None, events: list[Event] | None = None
) -> dict[str, tuple[tuple[float, ...], float]]:
    """Each line's name with its values and with its value for the whole time."""
    trend = trend or Trend()
    rows = _TABLE.ask(sql_of(trend, one, _PERIOD, _NOW, {}), _ORDERS if events is None else events)
    lines = lines_of(rows, intervals(_PERIOD, trend.interval))
    return {line.name: (line.values, line.whole) for line in lines}


@pytest.mark.parametrize(
    ("math", "values", "whole"),
    [
        ("total", (1, 2, 0), 3),
        ("persons", (1, 2, 0), 2),
        ("sessions", (1, 2, 0), 2),
        ("sum", (10, 20, 0), 30),
        ("avg", (10, 20, 0), 15),
        ("median", (10, 20, 0), 15),
        ("min", (10, 20, 0), 10),
        ("max", (10, 20, 0), 20),
        ("p90", (10, 20, 0), 19),
    ],
)
def test_maths(math: str, values: tuple[float, ...], whole: float) -> None:
    series = Series(event="paid", math=math, of=Property("total"))
    assert ask(series) == {"all": (values, whole)}


def test_filters_of_all_and_of_one_series() -> None:
    pro = Where(of=Property("plan"), value="pro")
    assert ask(Series(where=(pro,)))["all"][1] == 2
    bonn = Where(of=Property("city", "person"), value="Bonn")
    assert ask(Series(), Trend(where=(bonn,)))["all"][1] == 2
    assert ask(Series(where=(pro,)), Trend(where=(bonn,))) == {}


def test_a_breakdown_is_of_events_or_of_persons() -> None:
    plans = ask(Series(), Trend(breakdown=Property("plan")))
    assert plans == {"pro": ((1, 1, 0), 2), "free": ((0, 1, 0), 1), "(none)": ((0, 1, 0), 1)}
    cities = ask(Series(math="persons"), Trend(breakdown=Property("city", "person")))
    assert cities == {"(none)": ((1, 1, 0), 1), "Bonn": ((0, 1, 0), 1)}


def test_lines_beyond_the_highest_are_one() -> None:
    many = [Event("a", "e", 1, {"n": f"{n:02}"}) for n in range(MAX_LINES + 5)]
    found = ask(Series(), Trend(breakdown=Property("n")), [*many, many[-1]])
    assert len(found) == MAX_LINES + 1
    assert next(iter(found)) == f"{MAX_LINES + 4:02}"
    assert list(found.items())[-1] == (OTHER, ((5, 0, 0), 5))


def test_longer_intervals() -> None:
    weeks = ask(Series(), Trend(interval="week"))
    assert weeks == {"all": ((4,), 4)}
    assert len(ask(Series(), Trend(interval="hour"))["all"][0]) == 72


def test_no_events_are_no_lines() -> None:
    assert ask(Series(event="gone")) == {}
    assert lines_of([], [BEGIN]) == []
    assert Line(name="a", values=(1, 2), whole=3).total == 3


def test_what_cannot_be_asked() -> None:
    with pytest.raises(QueryRefused, match="avg needs the property"):
        ask(Series(math="avg"))
    with pytest.raises(QueryRefused, match="no math 'p12'"):
        ask(Series(math="p12"))

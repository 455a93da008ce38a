"""Insights against counting by hand in Python: random events, around midnights and months' ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

from eventtable import BEGIN, Event, EventTable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthog_local.query import lifecycle, pathlinks, paths, returns, stickiness, trends
from posthog_local.query.formula import Formula
from posthog_local.query.period import Interval, Period, floor, intervals, last, shifted

_TABLE = EventTable()
# Two months with a 28th of February, and the nights in which Europe and America change clocks.
_DAYS = 92
# Moments beside midnight and beside the hour are the likely ones.
_HOURS = st.builds(
    lambda day, hour, off: day * 24 + hour + off,
    st.integers(0, _DAYS),
    st.sampled_from([0, 1, 2, 12, 23]),
    st.sampled_from([0.0, 1 / 3600, -1 / 3600, 0.5, 1e-6 / 3600]),
)
_EVENT = st.builds(
    Event,
    who=st.sampled_from(["ada", "bob", "eve"]),
    name=st.sampled_from(["see", "pay"]),
    hours=_HOURS,
    created=st.just(10.0 * 24),
)
_EVENTS = st.lists(_EVENT, max_size=25)
_NOWS = _HOURS.map(lambda hours: (BEGIN + timedelta(hours=hours)).replace(tzinfo=UTC))
_INTERVALS: st.SearchStrategy[Interval] = st.sampled_from(["hour", "day", "week", "month"])
_FEW = settings(max_examples=60, deadline=None)


def moments(events: list[Event], period: Period, name: str) -> Iterator[tuple[str, datetime]]:
    for one in events:
        at = BEGIN + timedelta(hours=one.hours)
        if one.name == name and period.begin <= at < period.end:
            yield one.who, at


def period_of(now: datetime, days: int, interval: Interval) -> Period:
    return last(days, now, interval)


@given(_EVENTS, _NOWS, st.integers(1, 40), _INTERVALS)
@_FEW
def test_trends(events: list[Event], now: datetime, days: int, interval: Interval) -> None:
    period = period_of(now, days, interval)
    begins = intervals(period, interval)
    assert begins[-1] <= period.end
    rows = _TABLE.ask(trends.sql_of(trends.Trend(interval=interval), trends.Series(
        event="see", math="persons"), period, now, {}), events)  # fmt: skip
    lines = trends.lines_of(rows, begins)
    persons = defaultdict(set)
    for who, at in moments(events, period, "see"):
        persons[floor(at, interval)].add(who)
    assert persons.keys() <= set(begins)
    found = lines[0].values if lines else (0,) * len(begins)
    assert list(found) == [len(persons.get(begin, ())) for begin in begins]
    assert (lines[0].whole if lines else 0) == len(set().union(*persons.values()))


@given(_EVENTS, _NOWS, st.integers(1, 40), _INTERVALS, st.integers(1, 2))
@_FEW
def test_stickiness(
    events: list[Event], now: datetime, days: int, interval: Interval, often: int
) -> None:
    period = period_of(now, days, interval)
    many = len(intervals(period, interval))
    asked = stickiness.Stickiness(
        event="see", interval=interval, often=stickiness.Often("gte", often)
    )
    rows = _TABLE.ask(stickiness.sql_of(asked, period, now, {}), events)
    times = Counter((who, floor(at, interval)) for who, at in moments(events, period, "see"))
    there = Counter(who for (who, _), count in times.items() if count >= often)
    counts = Counter(there.values())
    assert stickiness.persons_of(rows, many) == [counts[number] for number in range(1, many + 1)]


@given(_EVENTS, _NOWS, st.integers(1, 40), _INTERVALS)
@_FEW
def test_lifecycle(events: list[Event], now: datetime, days: int, interval: Interval) -> None:
    period = period_of(now, days, interval)
    begins = intervals(period, interval)
    asked = lifecycle.Lifecycle(event="see", interval=interval)
    found = lifecycle.lists_of(_TABLE.ask(lifecycle.sql_of(asked, period, now, {}), events), begins)
    whole = Period(shifted(begins[0], interval, -1), shifted(begins[-1], interval, 1))
    there = defaultdict(set)
    for who, at in moments(events, whole, "see"):
        there[who].add(floor(at, interval))
    created = floor(BEGIN + timedelta(days=10), interval)
    for number, begin in enumerate(begins):
        before, told = shifted(begin, interval, -1), Counter[str]()
        for slots in there.values():
            if begin not in slots:
                told["dormant"] -= before in slots
            elif begin == created and begin == min(slots):
                told["new"] += 1
            else:
                told["returning" if before in slots else "resurrecting"] += 1
        assert {status: found[status][number] for status in found} == {
            status: told[status] for status in lifecycle.STATUSES
        }


@given(_EVENTS, _NOWS, _INTERVALS, st.integers(2, 8))
@_FEW
def test_retention(events: list[Event], now: datetime, interval: Interval, rows: int) -> None:
    asked = returns.Retention(begin="see", back="pay", interval=interval, rows=rows)
    table = returns.rows_of(asked, _TABLE.ask(returns.sql_of(asked, now, {}), events), now)
    period = Period(table[0].begin, now.replace(tzinfo=None))
    began, back = defaultdict(set), defaultdict(set)
    for who, at in moments(events, period, "see"):
        began[floor(at, interval)].add(who)
    for who, at in moments(events, period, "pay"):
        back[floor(at, interval)].add(who)
    for number, row in enumerate(table):
        assert row.persons == len(began[row.begin])
        later = [one.begin for one in table[number + 1 :]]
        assert list(row.back) == [len(began[row.begin] & back[one]) for one in later]


_STEPS = st.lists(
    st.builds(
        Event,
        who=st.sampled_from(["ada", "bob"]),
        name=st.sampled_from(["a", "b", "c"]),
        hours=st.integers(0, 40).map(lambda minutes: minutes / 6),
    ),
    max_size=20,
    unique_by=lambda one: (one.who, one.hours),
)


@given(_STEPS, st.sampled_from(["", "a"]), st.sampled_from(["", "b"]), st.integers(2, 4))
@_FEW
@example([Event("ada", "a", 0), Event("ada", "b", 0.5)], "", "", 2)
@example([Event("ada", name, number / 6) for number, name in enumerate("acacb")], "", "b", 2)
@example([Event("ada", name, number / 6) for number, name in enumerate("cabcc")], "a", "", 2)
def test_links_of_paths(events: list[Event], start: str, end: str, steps: int) -> None:
    asked = pathlinks.PathLinks(
        start=start or None, end=None if start else end or None, steps=steps, limit=1000
    )
    period = Period(BEGIN, BEGIN + timedelta(days=1))
    rows = _TABLE.ask(pathlinks.sql_of(asked, period, BEGIN.replace(tzinfo=UTC), {}), events)
    counted = Counter[tuple[str, str]]()
    for visit in visits_of(events):
        path = [name for name, _ in groupby(visit)]
        if asked.start:
            path = path[path.index("a") :][:steps] if "a" in path else []
        elif asked.end:
            path = path[: path.index("b") + 1][-steps:] if "b" in path else []
        named = [f"{number}_{name}" for number, name in enumerate(path[:steps], 1)]
        counted.update(pairwise(named))
    assert {(row[0], row[1]): row[2] for row in rows} == dict(counted)
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


@given(_STEPS, st.sampled_from(["", "a", "b"]), st.booleans())
@_FEW
@example([Event("ada", "a", 0), Event("ada", "b", 0.5)], "", False)
@example([Event("ada", name, number / 6) for number, name in enumerate("cabac")], "a", True)
@example([Event("ada", "b", 0), Event("bob", "b", 0.1), Event("bob", "a", 0.2)], "", False)
def test_paths(events: list[Event], begin: str, back: bool) -> None:
    asked = paths.Paths(event=begin or None, back=back)
    period = Period(BEGIN, BEGIN + timedelta(days=1))
    rows = _TABLE.ask(paths.sql_of(asked, period, BEGIN.replace(tzinfo=UTC), {}), events)
    counted = Counter[tuple[int, str]]()
    for visit in visits_of(events, longer_than_s=1800):
        path = [name for name, _ in groupby(reversed(visit) if back else visit)]
        if begin:
            path = path[path.index(begin) :] if begin in path else []
        counted.update(enumerate(path[: paths.STEPS], 1))
    assert {(row[0], row[1]): row[2] for row in rows} == dict(counted)


def visits_of(events: list[Event], longer_than_s: int = 1799) -> Iterator[list[str]]:
    for who in ("ada", "bob"):
        visit, latest = list[str](), None
        for one in sorted((one for one in events if one.who == who), key=lambda one: one.hours):
            if latest is not None and round((one.hours - latest) * 3600) > longer_than_s:
                yield visit
                visit = []
            visit, latest = [*visit, one.name], one.hours
        yield visit


_NUMBERS = st.integers(-50, 50)


@given(_NUMBERS, _NUMBERS, _NUMBERS)
def test_formulas(a: int, b: int, c: int) -> None:
    assert Formula("A + B * C", 3).of([a, b, c]) == a + b * c
    assert Formula("(a - b) / c", 3).of([a, b, c]) == ((a - b) / c if c else 0)
    assert Formula("-A % 7", 1).of([a]) == -a % 7
    assert Formula("A ** B ** C", 3).of([a, b, 1000 * c]) is not None

"""Retention: who is in which row, and who came back."""

from __future__ import annotations

from datetime import UTC, datetime

from eventtable import BEGIN, Event, EventTable
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.query.filters import Line, Property
from posthog_local.query.returns import Retention, begins_of, means_of, rows_of, sql_of

_NOW = datetime(2026, 1, 4, 12, tzinfo=UTC)
_TABLE = EventTable()
_DAY = 24


def ask(retention: Retention, events: list[Event]) -> list[tuple[int, tuple[int, ...]]]:
    rows = _TABLE.ask(sql_of(retention, _NOW, {}), events)
    return [(row.persons, row.back) for row in rows_of(retention, rows, _NOW)]


def test_rows_are_of_those_who_began_and_columns_of_those_who_came_back() -> None:
    events = [
        *(Event("a", "join", 1), Event("a", "use", 2), Event("a", "use", _DAY + 1)),
        *(Event("b", "join", 3), Event("b", "use", 3 * _DAY)),
        *(Event("c", "join", _DAY), Event("c", "use", 2 * _DAY), Event("c", "use", 2 * _DAY + 1)),
        Event("d", "use", 2 * _DAY),
    ]
    found = ask(Retention(begin="join", back="use", rows=4), events)
    assert found == [(2, (1, 0, 1)), (1, (1, 0)), (0, (0,)), (0, ())]


def test_first_time_looks_at_all_that_ever_was() -> None:
    events = [Event("old", "use", -48), Event("old", "use", 1), Event("old", "use", _DAY),
              Event("new", "use", 1), Event("new", "use", _DAY)]  # fmt: skip
    every = Retention(begin="use", back="use", rows=4)
    assert ask(every, events) == [(2, (2, 0, 0)), (2, (0, 0)), (0, (0,)), (0, ())]
    first = Retention(begin="use", back="use", rows=4, first_time=True)
    assert ask(first, events) == [(1, (1, 0, 0)), (0, (0, 0)), (0, (0,)), (0, ())]


def test_filters_and_any_event() -> None:
    events = [Event("a", "x", 1, {"plan": "pro"}), Event("a", "y", _DAY, {"plan": "pro"}),
              Event("b", "x", 1, {"plan": "free"})]  # fmt: skip
    pro = Line(of=Property("plan"), value="pro")
    assert ask(Retention(rows=2, where=(pro,)), []) == [(0, (0,)), (0, ())]
    assert ask(Retention(rows=4, where=(pro,)), events)[0] == (1, (1, 0, 0))
    assert ask(Retention(rows=4, begin_where=(pro,)), events)[0] == (1, (1, 0, 0))


def test_weeks_and_means() -> None:
    events = [Event("a", "e", -3 * _DAY), Event("a", "e", 3 * _DAY), Event("b", "e", -3 * _DAY)]
    weekly = Retention(interval="week", rows=2)
    assert [one.isoweekday() for one in begins_of(weekly, _NOW)] == [7, 7]
    found = rows_of(weekly, _TABLE.ask(sql_of(weekly, _NOW, {}), events), _NOW)
    # Only the week that goes on now can speak of the first week after.
    assert [(one.persons, one.back) for one in means_of(found)] == [(2, 1)]
    assert means_of([]) == []


_EVENTS = st.builds(Event, st.sampled_from("abc"), st.sampled_from(["x", "y"]),
                    st.integers(-30, 83))  # fmt: skip


@given(st.lists(_EVENTS, max_size=15), st.booleans())
def test_it_counts_as_by_hand(events: list[Event], first_time: bool) -> None:
    retention = Retention(begin="x", back="y", rows=4, first_time=first_time)
    days = {(one.who, one.name, int(one.hours // _DAY)) for one in events}
    began = {(who, day) for who, name, day in days if name == "x"}
    if first_time:
        began = {(who, min(day for other, day in began if other == who)) for who, _ in began}
    back = {(who, day) for who, name, day in days if name == "y"}
    wanted = []
    for row in range(4):
        whose = {who for who, day in began if day == row}
        later = tuple(len(whose & {who for who, day in back if day == on})
                      for on in range(row + 1, 4))  # fmt: skip
        wanted.append((len(whose), later))
    assert ask(retention, events) == wanted
    assert begins_of(retention, _NOW)[0] == BEGIN

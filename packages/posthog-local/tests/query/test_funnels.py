"""Funnels over the warehouse's own tables, filled through the server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from eventtable import Event, EventTable
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.query.filters import Line, Property
from posthog_local.query.funnels import Funnel, Stage, persons_sql, sql_of, steps_of
from posthog_local.query.period import Period, last
from posthog_local.testing import PostHogLocal

_NOW = datetime(2026, 1, 10, tzinfo=UTC)
_MONTH = last(30, _NOW)
_TABLE = EventTable()
_NAMES = ("see", "cart", "pay")


def funnel_of(*names: str, window_hours: float = 24) -> Funnel:
    stages = tuple(Stage(event=name) for name in names)
    return Funnel(stages=stages, window_hours=window_hours)


def split(
    funnel: Funnel, events: list[Event], period: Period = _MONTH
) -> dict[str | None, list[int]]:
    """The persons of each step, by the value that the funnel is split by."""
    found = _TABLE.ask(sql_of(funnel, period, _NOW, {}), events)
    return {one.name: [step.persons for step in one.steps] for one in steps_of(funnel, found)}


def ask(funnel: Funnel, events: list[tuple[str, str, float]], period: Period = _MONTH) -> list[int]:
    """The persons of each step; an event is of a person, with a name, hours after the begin."""
    return split(funnel, [Event(*one) for one in events], period)[None]


def test_order_and_window_decide() -> None:
    events = [
        *(("a", "see", 0.0), ("a", "cart", 1.0), ("a", "pay", 2.0)),
        *(("b", "see", 0.0), ("b", "cart", 30.0)),  # too late
        *(("c", "cart", 0.0), ("c", "see", 1.0)),  # the wrong way round
        # The first visit led nowhere, the second did.
        *(("d", "see", 0.0), ("d", "see", 40.0), ("d", "cart", 41.0)),
        ("e", "pay", 1.0),
    ]
    assert ask(funnel_of(*_NAMES), events) == [4, 2, 1]
    assert ask(funnel_of(*_NAMES, window_hours=48), events) == [4, 3, 1]
    assert ask(funnel_of(*_NAMES), events, last(1, _NOW)) == [0, 0, 0]


def test_filters_of_all_steps_and_of_one() -> None:
    events = [
        *(Event("a", "see", 0, {"plan": "pro"}), Event("a", "pay", 1, {"plan": "pro", "n": 5})),
        *(Event("b", "see", 0, {"plan": "free"}), Event("b", "pay", 1, {"plan": "free", "n": 9})),
    ]
    pro = Line(of=Property("plan"), value="pro")
    much = Line(of=Property("n"), operator="gt", value=6)
    plain = (Stage(event="see"), Stage(event="pay"))
    assert split(Funnel(stages=plain, where=(pro,)), events)[None] == [1, 1]
    dear = (Stage(event="see"), Stage(event=None, where=(much,)))
    assert split(Funnel(stages=dear), events)[None] == [2, 1]
    lines = split(Funnel(stages=plain, breakdown=Property("plan")), events)
    assert lines == {"free": [1, 1], "pro": [1, 1]}
    assert split(Funnel(stages=plain, breakdown=Property("plan")), []) == {}


def test_a_line_is_of_the_first_step() -> None:
    events = [Event("a", "see", 0, {"at": "home"}), Event("a", "pay", 1, {"at": "till"}),
              Event("b", "see", 0)]  # fmt: skip
    stages = (Stage(event="see"), Stage(event="pay"))
    found = split(Funnel(stages=stages, breakdown=Property("at")), events)
    assert found == {"(none)": [1, 0], "home": [1, 1]}


def test_who_came_and_who_did_not() -> None:
    events = [Event("a", "see", 0), Event("a", "cart", 1), Event("b", "see", 2),
              Event("c", "see", 3)]  # fmt: skip
    funnel = funnel_of("see", "cart")

    def who(step: int, gone: bool = False) -> list[str]:
        asked = persons_sql(funnel, _MONTH, step, _NOW, {}, gone=gone)
        return [row[0] for row in _TABLE.ask(asked, events)]

    assert who(1) == ["c", "b", "a"]
    assert who(2) == ["a"]
    assert who(2, gone=True) == ["c", "b"]


def test_the_same_event_twice_is_two_steps() -> None:
    events = [("a", "see", 0.0), ("a", "see", 1.0), ("b", "see", 0.0)]
    assert ask(funnel_of("see", "see"), events) == [2, 1]


def by_hand(funnel: Funnel, events: list[tuple[str, str, float]]) -> list[int]:
    steps = [one.event for one in funnel.stages]
    reached = [set[str]() for _ in steps]
    for who, name, began in events:
        if name != steps[0]:
            continue
        reached[0].add(who)
        at = began
        for number, step in enumerate(steps[1:], 1):
            later = [
                when
                for other, event, when in events
                if (other, event) == (who, step) and at < when <= began + funnel.window_hours
            ]
            if not later:
                break
            at = min(later)
            reached[number].add(who)
    return [len(persons) for persons in reached]


_EVENT = st.tuples(
    st.sampled_from("ab"), st.sampled_from(_NAMES), st.integers(0, 60).map(lambda n: n / 2)
)


@given(st.lists(_EVENT, max_size=12), st.lists(st.sampled_from(_NAMES), min_size=2, max_size=4))
def test_it_counts_as_by_hand(events: list[tuple[str, str, float]], steps: list[str]) -> None:
    funnel = funnel_of(*steps, window_hours=5)
    assert ask(funnel, events) == by_hand(funnel, events)


def test_the_page_shows_a_funnel_of_persons(local: PostHogLocal) -> None:
    now = datetime.now(UTC)

    def event(who: str, name: str, minutes: float, **properties: Any) -> dict[str, Any]:
        at = (now - timedelta(minutes=minutes)).isoformat()
        return {"event": name, "distinct_id": who, "timestamp": at, "properties": properties}

    batch = [
        event("anon", "see", 9),
        event("ada", "$identify", 8, **{"$anon_distinct_id": "anon"}),
        event("ada", "pay", 7),
        event("grace", "see", 5),
    ]
    body = json.dumps({"api_key": "phc_a", "batch": batch}).encode()
    urlopen(local.url + "/batch/", body).close()
    query = urlencode({"step": ["see", "pay", ""]}, doseq=True)
    html = urlopen(f"{local.url}/funnels?{query}").read().decode()
    assert "50.0 %" in html
    assert "2.0 min" in html

"""Funnels over the warehouse's own tables, filled through the server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.query.funnels import Funnel, sql_of, steps_of
from posthog_local.testing import PostHogLocal

_DUCKDB = pytest.importorskip("duckdb").connect(config={"threads": 1})
_NOW = datetime(2026, 1, 10, tzinfo=UTC)
_NAMES = ("see", "cart", "pay")


def ask(funnel: Funnel, events: list[tuple[str, str, float]]) -> list[int]:
    """The persons of each step; an event is of a person, with a name, hours after the begin."""
    connection = _DUCKDB.cursor()
    connection.execute(
        "CREATE OR REPLACE TABLE events_of_person"
        " (person_id VARCHAR, event VARCHAR, timestamp TIMESTAMP)"
    )
    begin = datetime(2026, 1, 1)
    rows = [(who, name, begin + timedelta(hours=at)) for who, name, at in events]
    if rows:
        connection.executemany("INSERT INTO events_of_person VALUES (?,?,?)", rows)
    found = connection.execute(*sql_of(funnel, _NOW)).fetchall()
    connection.close()
    return [step.persons for step in steps_of(funnel, found)]


def test_order_and_window_decide() -> None:
    events = [
        *(("a", "see", 0.0), ("a", "cart", 1.0), ("a", "pay", 2.0)),
        *(("b", "see", 0.0), ("b", "cart", 30.0)),  # too late
        *(("c", "cart", 0.0), ("c", "see", 1.0)),  # the wrong way round
        # The first visit led nowhere, the second did.
        *(("d", "see", 0.0), ("d", "see", 40.0), ("d", "cart", 41.0)),
        ("e", "pay", 1.0),
    ]
    assert ask(Funnel(steps=_NAMES), events) == [4, 2, 1]
    assert ask(Funnel(steps=_NAMES, window_hours=48), events) == [4, 3, 1]
    assert ask(Funnel(steps=_NAMES, days=1), events) == [0, 0, 0]


def test_the_same_event_twice_is_two_steps() -> None:
    events = [("a", "see", 0.0), ("a", "see", 1.0), ("b", "see", 0.0)]
    assert ask(Funnel(steps=("see", "see")), events) == [2, 1]


def by_hand(funnel: Funnel, events: list[tuple[str, str, float]]) -> list[int]:
    reached = [set[str]() for _ in funnel.steps]
    for who, name, began in events:
        if name != funnel.steps[0]:
            continue
        reached[0].add(who)
        at = began
        for number, step in enumerate(funnel.steps[1:], 1):
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
    funnel = Funnel(steps=tuple(steps), window_hours=5)
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

"""Paths: what comes after what, within a visit."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from eventtable import BEGIN, Event, EventTable

from posthog_local.query import pathlinks
from posthog_local.query.filters import Line, Property
from posthog_local.query.pathlinks import PathLinks
from posthog_local.query.paths import MAX_ROWS, Paths, sql_of, steps_of
from posthog_local.query.period import Period

_NOW = datetime(2026, 1, 4, tzinfo=UTC)
_PERIOD = Period(BEGIN, datetime(2026, 1, 4))
_TABLE = EventTable()


def ask(paths: Paths, events: list[Event]) -> list[dict[str, int]]:
    """What was done at each step; `ended` for those who did no more."""
    found = steps_of(_TABLE.ask(sql_of(paths, _PERIOD, _NOW, {}), events))
    return [
        {**{one.label: one.visits for one in step.places}, **({"ended": step.ended} if step.ended
         else {})}
        for step in found
    ]  # fmt: skip


def visit(who: str, *names: str, at: float = 0.0) -> list[Event]:
    return [Event(who, name, at + number / 100) for number, name in enumerate(names)]


def test_what_persons_did_next() -> None:
    events = [*visit("a", "see", "cart", "pay"), *visit("b", "see", "leave"), *visit("c", "pay")]
    assert ask(Paths(event="see"), events) == [
        {"see": 2}, {"cart": 1, "leave": 1}, {"pay": 1, "ended": 1}]  # fmt: skip
    assert ask(Paths(), events)[0] == {"see": 2, "pay": 1}
    assert ask(Paths(event="gone"), events) == []


def test_what_led_there() -> None:
    events = [*visit("a", "see", "cart", "pay", "later"), *visit("b", "pay")]
    assert ask(Paths(event="pay", back=True), events) == [
        {"pay": 2}, {"cart": 1, "ended": 1}, {"see": 1, "ended": 1}]  # fmt: skip


def test_a_pause_ends_a_visit_and_the_same_again_is_one_step() -> None:
    events = [*visit("a", "see", "see", "pay", "pay", "see"), *visit("a", "see", "cart", at=5)]
    assert ask(Paths(event="see"), events) == [
        {"see": 2}, {"cart": 1, "pay": 1}, {"see": 1, "ended": 1}]  # fmt: skip


def test_pages_go_by_their_path_and_sdks_reports_are_left_out() -> None:
    def page(url: str, hours: float) -> Event:
        return Event("a", "$pageview", hours, {"$current_url": url})

    events = [page("http://shop:8/cart/1?x=2#y", 0), Event("a", "$feature_flag_called", 0.01),
              page("http://shop:8", 0.02), Event("a", "$screen", 0.03, {"$screen_name": "Home"}),
              page("http://shop:8/", 0.04)]  # fmt: skip
    assert [next(iter(step)) for step in ask(Paths(), events)] == [
        "$pageview /cart/1", "$pageview /", "$screen Home", "$pageview /"]  # fmt: skip
    cart = ask(Paths(event="$pageview /cart/1"), events)
    assert [next(iter(step)) for step in cart][:2] == ["$pageview /cart/1", "$pageview /"]


def test_filters_and_what_is_beyond_the_most_frequent() -> None:
    events = [Event(f"u{n}", f"e{n:02}", 0, {"plan": "pro"}) for n in range(MAX_ROWS + 3)]
    pro = Line(of=Property("plan"), value="pro")
    [step] = steps_of(_TABLE.ask(sql_of(Paths(where=(pro,)), _PERIOD, _NOW, {}), events))
    assert (len(step.places), step.other, step.ended) == (MAX_ROWS, 3, 0)
    free = Line(of=Property("plan"), value="free")
    assert ask(Paths(where=(free,)), events) == []


def test_visits_stay_whole_where_there_are_more_events_than_one_thread_takes_at_once() -> None:
    connection = pytest.importorskip("duckdb").connect(config={"threads": 4})
    persons, steps = 50_000, "abcdef"
    # Each does a to f, and all of them at once: what one person did is far apart in the table.
    connection.execute(
        "CREATE TABLE events_of_person AS SELECT 'p' || (number % $persons) AS person_id,"
        " $steps[number // $persons + 1] AS event, '{}' AS properties,"
        " $begin::TIMESTAMP + to_minutes(number // $persons) AS timestamp"
        " FROM range($persons * len($steps)) AS numbers(number)",
        {"persons": persons, "steps": steps, "begin": BEGIN},
    )
    found = connection.execute(*sql_of(Paths(), _PERIOD, _NOW, {})).fetchall()
    assert sorted(found) == [(number, name, persons) for number, name in enumerate("abcde", 1)]
    links = connection.execute(*pathlinks.sql_of(PathLinks(start="b"), _PERIOD, _NOW, {}))
    assert [row[:3] for row in links.fetchall()] == [
        ("1_b", "2_c", persons), ("2_c", "3_d", persons), ("3_d", "4_e", persons),
        ("4_e", "5_f", persons)]  # fmt: skip

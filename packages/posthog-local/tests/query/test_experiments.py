"""Experiments: who counts for which variant, and the arithmetic beside published figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from eventtable import BEGIN, Event, EventTable

from posthog_local.query.experiments import (
    EXPOSURE,
    SEVERAL,
    Experiment,
    Outcome,
    against,
    outcomes_of,
    sql_of,
)
from posthog_local.query.filters import Line, Property
from posthog_local.query.period import Period

_NOW = datetime(2026, 1, 4, tzinfo=UTC)
_PERIOD = Period(BEGIN, datetime(2026, 1, 4))
_TABLE = EventTable()


def shown(who: str, variant: Any, hours: float = 0, flag: str = "beta") -> Event:
    return Event(who, EXPOSURE, hours, {"$feature_flag": flag, "$feature_flag_response": variant})


def ask(events: list[Event], *where: Line) -> dict[str, tuple[int, int]]:
    experiment = Experiment(flag="beta", goal="paid", where=where)
    rows = _TABLE.ask(sql_of(experiment, _PERIOD, _NOW, {}), events)
    return {one.variant: (one.persons, one.converted) for one in outcomes_of(rows)}


def test_persons_count_for_what_they_were_shown_from_then_on() -> None:
    events = [
        *(shown("a", "test"), shown("a", "test", 2), Event("a", "paid", 1), Event("a", "paid", 3)),
        *(shown("b", "test", 5), Event("b", "paid", 4)),  # before they were shown it
        *(shown("c", "control"), Event("c", "other", 1)),
        *(shown("d", "control"), shown("d", "test", 1), Event("d", "paid", 2)),
        shown("e", "test", flag="another"),
        shown("f", None),
        shown("g", "test", 100),  # after the time
    ]
    assert ask(events) == {"control": (1, 0), "test": (2, 1), SEVERAL: (1, 1)}


def test_a_flag_without_variants_is_on_or_off() -> None:
    found = ask([shown("a", True), shown("b", False), Event("a", "paid", 1, {"total": 5})],
                Line(of=Property("total"), operator="gt", value=9))  # fmt: skip
    assert list(found.items()) == [("false", (1, 0)), ("true", (1, 0))]


def test_newcombe_s_own_example() -> None:
    # 56/70 beside 48/80: Newcombe 1998, method 10, gives 0.0524 to 0.3339.
    found = against(
        Outcome(variant="control", persons=80, converted=48),
        Outcome(variant="test", persons=70, converted=56),
    )
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)
    assert round(found.difference, 4) == 0.2
    assert found.p == pytest.approx(0.00805, abs=1e-5)
    assert found.significant


@pytest.mark.parametrize(
    ("control", "variant"), [((0, 0), (5, 2)), ((9, 0), (9, 0)), ((4, 4), (4, 4))]
)
def test_without_a_difference_to_see_there_is_no_p(
    control: tuple[int, int], variant: tuple[int, int]
) -> None:
    found = against(
        Outcome(variant="control", persons=control[0], converted=control[1]),
        Outcome(variant="test", persons=variant[0], converted=variant[1]),
    )
    assert found.p is None
    assert found.small
    assert not found.significant
    assert -1 <= found.low <= found.difference <= found.high <= 1

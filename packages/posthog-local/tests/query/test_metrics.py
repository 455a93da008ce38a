"""Metrics of experiments against counting by hand, and the t-test against tables."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from eventtable import BEGIN, Event, EventTable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthog_local.query.experiments import EXPOSURE, SEVERAL
from posthog_local.query.filters import Property
from posthog_local.query.metrics import Did, Measured, Metric, measured_of, sql_of
from posthog_local.query.period import Period
from posthog_local.query.welch import Sample, compared, two_sided

_TABLE = EventTable()
_NOW = datetime(2026, 1, 4, tzinfo=UTC)
_PERIOD = Period(BEGIN, datetime(2026, 1, 4))
_PERSONS = ("ada", "bob", "eve")
_HOURS = st.integers(0, 12)
_EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda who, variant, hours: Event(
                who, EXPOSURE, hours,
                {"$feature_flag": "beta", "$feature_flag_response": variant},
            ),
            st.sampled_from(_PERSONS), st.sampled_from(["control", "test"]), _HOURS,
        ),
        st.builds(
            lambda who, name, hours, total: Event(who, name, hours, {"total": total}),
            st.sampled_from(_PERSONS), st.sampled_from(["see", "pay"]), _HOURS,
            st.integers(-5, 20),
        ),
    ),
    max_size=25,
)  # fmt: skip
_WINDOWS = st.sampled_from([None, 5.0])
_FEW = settings(max_examples=60, deadline=None)


def _visit(*names_at: tuple[str, int]) -> list[Event]:
    shown = {"$feature_flag": "beta", "$feature_flag_response": "test"}
    return [Event("ada", EXPOSURE, 0, shown),
            *(Event("ada", name, at, {"total": 1}) for name, at in names_at)]  # fmt: skip


def measured(metric: Metric, events: list[Event]) -> dict[str, Measured]:
    return measured_of(metric, _TABLE.ask(sql_of(metric, _PERIOD, _NOW, {}), events))


def exposed(events: list[Event]) -> dict[str, tuple[str, float]]:
    """Who was shown which variant, since when."""
    seen = defaultdict[str, list[tuple[float, Any]]](list)
    for one in events:
        if one.name == EXPOSURE:
            seen[one.who].append((one.hours, one.properties["$feature_flag_response"]))
    return {
        who: (found[0][1] if len({name for _, name in found}) == 1 else SEVERAL, min(found)[0])
        for who, found in seen.items()
    }


@given(_EVENTS, _WINDOWS, st.booleans())
@_FEW
def test_means(events: list[Event], window: float | None, counted: bool) -> None:
    metric = Metric(
        flag="beta", steps=(Did(event="pay"),), counted=counted, window_hours=window,
        amount=None if counted else Property("total"),
    )  # fmt: skip
    values = defaultdict[str, list[int]](list)
    for who, (variant, since) in exposed(events).items():
        mine = [one for one in events if one.who == who and one.name == "pay"
                and since <= one.hours <= since + (window or 1e9)]  # fmt: skip
        values[variant].append(len(mine) if counted else sum(one.properties["total"]
                                                             for one in mine))  # fmt: skip
    found = measured(metric, events)
    assert {name: (one.persons, one.total, one.squares) for name, one in found.items()} == {
        name: (len(ones), sum(ones), sum(one * one for one in ones))
        for name, ones in values.items()
    }


@given(_EVENTS, _WINDOWS)
@_FEW
@example(_visit(("see", 0), ("pay", 0)), None)
@example(_visit(("see", 5), ("pay", 5)), 5.0)
@example(_visit(("see", 2), ("pay", 5)), 5.0)
def test_funnels(events: list[Event], window: float | None) -> None:
    metric = Metric(flag="beta", steps=(Did(event="see"), Did(event="pay")), window_hours=window)
    counts = defaultdict[str, list[int]](lambda: [0, 0, 0])
    for who, (variant, since) in exposed(events).items():
        last = since + (window or 1e9)
        times = {name: sorted(one.hours for one in events if (one.who, one.name) == (who, name))
                 for name in ("see", "pay")}  # fmt: skip
        first = next((one for one in times["see"] if since <= one <= last), None)
        then = first is not None and any(first < one <= last for one in times["pay"])
        for place, reached in enumerate((True, first is not None, then)):
            counts[variant][place] += reached
    found = measured(metric, events)
    assert {name: [one.persons, *one.steps] for name, one in found.items()} == dict(counts)
    assert all(one.total == one.steps[-1] for one in found.values())


@pytest.mark.parametrize(("t", "freedom", "p"), [
    (12.706, 1, 0.05), (2.571, 5, 0.05), (3.169, 10, 0.01), (1.960, 1e6, 0.05),
    (0.0, 7, 1.0), (-2.042, 30, 0.05),
])  # fmt: skip
def test_published_quantiles_of_t(t: float, freedom: float, p: float) -> None:
    assert two_sided(t, freedom) == pytest.approx(p, abs=1e-4)


def test_nothing_is_said_of_too_little() -> None:
    some = Sample(count=10, mean=1.0, variance=1.0)
    assert compared(some, Sample(count=1, mean=1.0, variance=0.0)) is None
    assert compared(Sample(count=10, mean=0.0, variance=1.0), some) is None
    still = Sample(count=10, mean=1.0, variance=0.0)
    assert compared(still, still) is None
    same = compared(some, some)
    assert same is not None
    assert (same.relative, same.p) == (0.0, 1.0)

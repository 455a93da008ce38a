"""Periods: where intervals begin, whatever the calendar says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from eventtable import EventTable
from hypothesis import given
from hypothesis import strategies as st

from posthog_local.query.period import (
    Interval,
    Period,
    before,
    between,
    floor,
    floor_sql,
    intervals,
    last,
    shifted,
)
from posthog_local.query.refusal import QueryRefused

_NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)
_KINDS: tuple[Interval, ...] = ("hour", "day", "week", "month")
_TABLE = EventTable()
_MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))


def test_the_last_days_end_with_today() -> None:
    assert [one.day for one in intervals(last(3, _NOW), "day")] == [6, 7, 8]
    weeks = intervals(last(30, _NOW, "week"), "week")
    assert [one.isoweekday() for one in weeks] == [7, 7, 7, 7]
    months = intervals(last(90, _NOW, "month"), "month")
    assert [one.month for one in months] == [11, 12, 1]
    assert len(intervals(last(0.1, _NOW), "day")) == 1


def test_days_are_whole() -> None:
    period = between(date(2026, 2, 27), date(2026, 3, 1))
    assert len(intervals(period, "day")) == 3
    assert before(period, "day").begin.day == 24
    with pytest.raises(QueryRefused, match="ends on 2026-01-01, before it begins"):
        between(date(2026, 1, 2), date(2026, 1, 1))


def test_more_than_can_be_read_is_refused() -> None:
    with pytest.raises(QueryRefused, match="more than 2,500 hours"):
        intervals(last(365, _NOW, "hour"), "hour")


@given(_MOMENTS, st.sampled_from(_KINDS))
def test_the_warehouse_cuts_time_as_we_do(moment: datetime, kind: Interval) -> None:
    sql = f"SELECT {floor_sql(kind, '?::TIMESTAMP')}"
    assert _TABLE.ask((sql, [moment]), []) == [(floor(moment, kind),)]


@given(_MOMENTS, st.sampled_from(_KINDS), st.integers(1, 30))
def test_the_time_before_has_as_many_intervals(
    moment: datetime, kind: Interval, count: int
) -> None:
    begin = floor(moment, kind)
    period = Period(begin, shifted(begin, kind, count) - timedelta(seconds=1))
    past = before(period, kind)
    assert past.end == begin
    assert len(intervals(past, kind)) == len(intervals(period, kind)) == count

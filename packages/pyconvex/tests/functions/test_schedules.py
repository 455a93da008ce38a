"""Times of cron jobs: anchored, later than now, the same on every machine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.schedules import (
    Calendar,
    Every,
    ScheduleError,
    after_change,
    check,
    first,
    following,
    spread_of,
)

MINUTE_MS = 60_000.0
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

moments = st.floats(1_500_000_000_000.0, 2_500_000_000_000.0)
expressions = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "30 4 * * *", "0 9 1,15 * *", "15 */3 * * 1-5", "59 23 31 * *"]
)
keys = st.text(max_size=8)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000


def shown(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@given(period_s=st.integers(1, 10**7), ran=moments, late_ms=st.floats(0, 10 * DAY_MS))
def test_intervals_keep_their_anchor(period_s: int, ran: float, late_ms: float) -> None:
    schedule, period_ms = Every(period_s), period_s * 1000.0
    now = ran + late_ms
    next_ms, skipped = following(schedule, "", ran, now)
    assert next_ms > now
    assert next_ms - now <= period_ms + 1e-3
    assert next_ms == pytest.approx(ran + (skipped + 1) * period_ms, abs=1e-3)
    assert skipped >= 0


@given(period_s=st.integers(1, 3600), start=moments, runs=st.integers(1, 50))
def test_runs_in_time_skip_nothing_and_do_not_drift(period_s: int, start: float, runs: int) -> None:
    schedule, due = Every(period_s), first(Every(period_s), "", start)
    assert due == start
    for _ in range(runs):
        due, skipped = following(schedule, "", due, due + 1.0)
        assert skipped == 0
    assert due == pytest.approx(start + runs * period_s * 1000.0, abs=0.01)


@given(expression=expressions, spread_s=st.sampled_from([60, 3600]), key=keys, now=moments)
def test_calendar_times_are_matches_of_the_expression_plus_the_spread(
    expression: str, spread_s: int, key: str, now: float
) -> None:
    schedule = Calendar(expression, spread_s)
    due = first(schedule, key, now)
    assert due > now
    match = datetime.fromtimestamp((due - spread_of(schedule, key)) / 1000, UTC)
    assert match.second == match.microsecond == 0
    # The expression names this minute: from a moment before it, it is what comes next.
    assert first(Calendar(expression, 1), "", match.timestamp() * 1000 - 1000) == (
        match.timestamp() * 1000
    )


@given(expression=expressions, key=keys, now=moments)
def test_no_calendar_time_is_left_out_in_time_and_late_ones_run_once(
    expression: str, key: str, now: float
) -> None:
    schedule = Calendar(expression, 60)
    due = first(schedule, key, now)
    between = now + (due - now) / 2
    assert first(schedule, key, between) == due, "whenever it is asked before"
    after, skipped = following(schedule, key, due, due)
    assert skipped == 0
    assert after > due
    late, _ = following(schedule, key, due, after + 1.0)
    assert late > after + 1.0


@given(key=keys, spread_s=st.sampled_from([60, 3600]))
def test_the_spread_is_a_whole_second_below_the_bound(key: str, spread_s: int) -> None:
    spread_ms = spread_of(Calendar("* * * * *", spread_s), key)
    assert 0 <= spread_ms < spread_s * 1000
    assert spread_ms % 1000 == 0


def test_jobs_are_spread() -> None:
    hourly = Calendar("0 * * * *", 3600)
    spreads = {spread_of(hourly, f"job {n}") for n in range(100)}
    assert len(spreads) > 90
    assert max(spreads) - min(spreads) > HOUR_MS / 2


def test_the_same_on_every_machine() -> None:
    assert spread_of(Calendar("0 * * * *", 3600), "\0report") == 396_000.0


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("30 4 * * *", "2026-03-01 04:29:59", "2026-03-01 04:30:00"),
        ("30 4 * * *", "2026-03-01 04:30:00", "2026-03-02 04:30:00"),
        ("0 12 * * 1", "2026-03-03 00:00:00", "2026-03-09 12:00:00"),
        ("0 0 31 * *", "2026-01-31 00:00:01", "2026-03-31 00:00:00"),
        ("0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"),
    ],
)
def test_calendar_examples(expression: str, now: str, expected: str) -> None:
    assert shown(first(Calendar(expression, 1), "", at(now))) == expected


def test_a_changed_schedule_starts_anew_unless_the_old_one_runs_in_a_moment() -> None:
    now = at("2026-03-01 12:00:00")
    slow, fast = Every(3600), Every(10)
    assert after_change(slow, Every(60), "", now + 1_800_000, now) == now
    assert after_change(fast, slow, "", now + 5_000, now) == now + 5_000
    daily = Calendar("0 0 * * *", 1)
    assert shown(after_change(slow, daily, "", now + 60_000, now)) == "2026-03-02 00:00:00"


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        (Every(0), "at least 1 second"),
        (Every(-5), "at least 1 second"),
        (Calendar("* * * *", 60), "five fields"),
        (Calendar("0 * * * * *", 60), "five fields"),
        (Calendar("61 * * * *", 60), "Bad minute"),
        (Calendar("0 0 31 2 *", 60), "Bad day-of-month|never matches"),
        (Calendar("x y z a b", 60), "Bad"),
    ],
)
def test_what_is_no_schedule(schedule: Every | Calendar, reason: str) -> None:
    with pytest.raises(ScheduleError, match=reason):
        check(schedule)
    check(Every(1))
    check(Calendar("0 0 29 2 *", 60))

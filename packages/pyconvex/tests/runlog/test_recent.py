"""The newest executions: what is kept, and what is said of the rest."""

from __future__ import annotations

import msgspec

from pyconvex.runlog import ExceptionReport, Item, LogLine, Report, RunRecord
from pyconvex.runlog.recent import RecentRuns


def record(number: int, **report: object) -> RunRecord:
    return RunRecord(
        ts_ms=number,
        began_ms=number,
        request_id=f"request-{number}",
        execution_id=f"execution-{number}",
        kind="query",
        path="lib:get",
        report=Report(**report),  # type: ignore[arg-type]
    )


def test_errors_and_lines_stay_and_metadata_goes() -> None:
    recent = RecentRuns(lambda: 0.0)
    error = msgspec.msgpack.encode(ExceptionReport(id="1", type="ValueError", message="no"))
    lines = (LogLine("LOG", "hello", 0.0),)
    recent.add(record(1, exception=error, lines=lines, items=(Item("shop.x", "", b"x"),)))
    [kept] = recent.after(0)
    assert (kept.report.exception, kept.report.lines, kept.report.items) == (error, lines, ())


def test_errors_count_against_the_bound() -> None:
    recent = RecentRuns(lambda: 0.0, max_characters=1000)
    for number in range(10):
        recent.add(record(number, exception=b"x" * 400))
    assert [one.ts_ms for one in recent.after(0)] == [8, 9]


def test_who_was_away_too_long_is_told_that_something_is_missing() -> None:
    recent = RecentRuns(lambda: 1000.0, limit=3)
    start = recent.cursor
    assert not recent.missed(start)
    for number in range(3):
        recent.add(record(number))
    assert not recent.missed(start)
    recent.add(record(3))
    assert recent.missed(start)
    assert not recent.missed(start + 1)
    assert [one.ts_ms for one in recent.after(start + 1)] == [1, 2, 3]


def test_a_cursor_of_an_earlier_process_has_missed_something() -> None:
    before = RecentRuns(lambda: 1000.0)
    before.add(record(1))
    after = RecentRuns(lambda: 2000.0)
    assert after.missed(before.cursor)

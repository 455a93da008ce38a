"""Searching many lines reads few of them, unless a text is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apsw
import pytest

from posthog_local.logs.record import LogRecord
from posthog_local.store import schema
from posthog_local.store.shelves.logs import LogFilter, LogReader, append
from posthog_local.store.transaction import Transaction

_LINES = 5_000


def _line(number: int) -> LogRecord:
    return LogRecord(
        timestamp_us=1_000_000 + number // 3,
        observed_us=1_000_000 + number,
        severity="fatal" if number == 17 else "info",
        severity_number=21 if number == 17 else 9,
        service_name="rare" if number == 23 else "shop",
        body=f"line {number} 100%_done" if number == 29 else f"Line {number}",
        attributes={},
        resource_attributes={},
        scope="",
        event_name="",
        trace_id=f"{number:032x}" if number % 2 else "",
        span_id="",
        distinct_id=f"u{number}",
        session_id=None,
    )


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    schema.prepare(connection)
    append([_line(number) for number in range(_LINES)])(Transaction(connection))
    yield connection
    connection.close()


def _steps(connection: apsw.Connection, question: Callable[[], object]) -> int:
    """How many tens of instructions SQLite needs for the answer."""
    ticks = 0

    def tick() -> bool:
        nonlocal ticks
        ticks += 1
        return False

    connection.set_progress_handler(tick, 10)
    try:
        question()
    finally:
        connection.set_progress_handler(None)
    return ticks


@pytest.mark.parametrize(
    ("wanted", "bodies"),
    [
        (LogFilter(trace_id=f"{7:032x}"), ["Line 7"]),
        (LogFilter(trace_id=f"{7:032x}", search="LINE"), ["Line 7"]),
        (LogFilter(trace_id="none"), []),
        (LogFilter(severities=("fatal",)), ["Line 17"]),
        (LogFilter(service_names=("rare",)), ["Line 23"]),
        (LogFilter(distinct_id="u11"), ["Line 11"]),
        (LogFilter(beyond=(1_000_000, 2)), ["Line 0"]),
    ],
)
def test_few_lines_are_read(
    connection: apsw.Connection, wanted: LogFilter, bodies: list[str]
) -> None:
    reader = LogReader(connection)
    assert [one.record.body for one in reader.latest(wanted, 50)] == bodies
    assert _steps(connection, lambda: reader.latest(wanted, 50)) < _LINES / 50


def test_names_of_services_are_skipped_through(connection: apsw.Connection) -> None:
    reader = LogReader(connection)
    assert reader.service_names() == ["rare", "shop"]
    assert _steps(connection, reader.service_names) < _LINES / 50


def test_a_text_stands_for_itself_in_any_case(connection: apsw.Connection) -> None:
    reader = LogReader(connection)
    found = reader.latest(LogFilter(search="LINE"), 3)
    assert [one.seq for one in found] == [_LINES, _LINES - 1, _LINES - 2]
    for text in ("100%_", "%_d"):
        assert [one.seq for one in reader.latest(LogFilter(search=text), 3)] == [30]
    assert reader.latest(LogFilter(search="100%d"), 3) == []

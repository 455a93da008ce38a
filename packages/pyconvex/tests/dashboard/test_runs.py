"""What the filter of the logs page admits, and how executions stand together."""

from __future__ import annotations

from typing import Any

import pytest

from pyconvex.dashboard.runs import Filter, by_request, chosen
from pyconvex.runlog import LogLine, Occ, Report, RunRecord

LINES = tuple(
    LogLine(level, f"a {level} line", 0.0) for level in ("DEBUG", "INFO", "LOG", "WARN", "ERROR")
)


def record(**values: Any) -> RunRecord:
    report = Report(lines=values.pop("lines", ()), user_id=values.pop("user_id", None))
    names = {"request_id": "r1", "execution_id": "e1", "kind": "query", "path": "orders:place"}
    return RunRecord(ts_ms=1, began_ms=0, report=report, **{**names, **values})


@pytest.mark.parametrize(
    ("level", "left"),
    [
        ("", ["DEBUG", "INFO", "LOG", "WARN", "ERROR"]),
        ("debug", ["DEBUG", "INFO", "LOG", "WARN", "ERROR"]),
        ("info", ["INFO", "LOG", "WARN", "ERROR"]),
        ("warn", ["WARN", "ERROR"]),
        ("error", ["ERROR"]),
    ],
)
def test_a_level_leaves_out_lines_below(level: str, left: list[str]) -> None:
    run = chosen(record(lines=LINES), Filter(level=level))
    assert run is not None
    assert [line.level for line in run.lines] == left


def test_a_level_leaves_out_runs_without_such_lines_but_no_failure() -> None:
    assert chosen(record(), Filter()) is not None
    assert chosen(record(), Filter(level="debug")) is None
    assert chosen(record(lines=LINES[:3]), Filter(level="warn")) is None
    assert chosen(record(error="Uncaught ValueError"), Filter(level="error")) is not None
    conflict = record(occ=Occ(table="orders"))
    assert chosen(conflict, Filter(level="warn")) is not None
    assert chosen(conflict, Filter(level="error")) is None


def test_function_text_request_and_user() -> None:
    found = record(lines=LINES, component="shop", user_id="ada", error="Uncaught KeyError: 'x'")
    for wanted in (
        *({"function": "ORDERS:pl"}, {"function": "shop/orders"}, {"text": "a WARN l"}),
        *({"text": "keyerror"}, {"request": "r1"}, {"request": found.trace}, {"user": "ada"}),
    ):
        assert chosen(found, Filter.of(wanted)) is not None, wanted
    for wanted in (
        *({"function": "users"}, {"text": "nothing of it"}, {"request": "r"}, {"user": "ad"}),
        {"user": "ada", "function": "users"},
        {"level": "error", "text": "warn line"},
    ):
        assert chosen(found, Filter.of(wanted)) is None, wanted


def test_a_level_that_is_none_is_everything() -> None:
    assert Filter.of({"level": "loud", "text": "  x "}) == Filter(text="x")


def test_executions_of_a_request_stand_together() -> None:
    ids = [("r1", "e1"), ("r2", "e2"), ("r1", "e3"), ("r3", "e4")]
    runs = [chosen(record(request_id=r, execution_id=e), Filter()) for r, e in ids]
    groups = by_request(run for run in runs if run)
    assert [
        (group.request_id, [run.record.execution_id for run in group.runs]) for group in groups
    ] == [("r3", ["e4"]), ("r1", ["e1", "e3"]), ("r2", ["e2"])]


def test_outcomes() -> None:
    assert [
        chosen(record(**values), Filter()).outcome  # type: ignore[union-attr]
        for values in (
            {},
            {"error": "x"},
            {"cached": True},
            {"going_on": True},
            {"occ": Occ()},
            {"status": 418, "kind": "http_action"},
        )
    ] == ["ok", "failed", "cached", "running", "conflict", "418"]

"""The run log on disk: what was appended is read, in order, whatever a crash tore."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.runlog import Item, LogLine, Report, RunRecord, segments
from pyconvex.runlog.entries import RunEntry
from pyconvex.runlog.exceptions import ExceptionReport
from pyconvex.runlog.reader import RunLogReader, segments_in
from pyconvex.runlog.record import encode_record
from pyconvex.runlog.report import encode_value
from pyconvex.runlog.window import Window
from pyconvex.storage import START, Position

KINDS = ("a", "b", "exception", "log", "execution")


def record(number: int, *items: str, lines: int = 0, error: str = "") -> RunRecord:
    told = ExceptionReport(f"e{number}", "ValueError", error)
    return RunRecord(
        ts_ms=1e12 + number,
        began_ms=1e12,
        request_id="r",
        execution_id=f"x{number}",
        kind="mutation",
        path="shop:buy",
        error=error,
        report=Report(
            lines=tuple(LogLine("LOG", f"line {n}", 0.0) for n in range(lines)),
            items=tuple(Item(kind, "", encode_value(number)) for kind in items),
            exception=encode_value(told) if error else b"",
            user_id="ada",
        ),
    )


records = st.lists(
    st.builds(
        lambda items, lines, error: lambda number: record(number, *items, lines=lines, error=error),
        st.lists(st.sampled_from(("a", "b")), max_size=4),
        st.integers(0, 2),
        st.sampled_from(("", "no")),
    ),
    max_size=12,
)


def told(record: RunRecord, kinds: frozenset[str]) -> list[tuple[str, str]]:
    """What a reader of these kinds must get of a record."""
    report = record.report
    all_kinds = [
        *("log" for _ in report.lines),
        *(item.kind for item in report.items),
        *(["exception"] if report.exception else []),
        "execution",
    ]
    return [(record.execution_id, kind) for kind in all_kinds if kind in kinds]


def names(entries: list[RunEntry]) -> list[tuple[str, str]]:
    return [(entry.run.execution_id, entry.kind) for entry in entries]


@given(
    made=records,
    kinds=st.sets(st.sampled_from(KINDS), min_size=1).map(frozenset),
    cuts=st.lists(st.integers(1, 400), max_size=6),
    steps=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 2000)), min_size=1, max_size=5),
    resume=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_reader_gets_every_entry_once_however_the_file_grows(
    made: list[Callable[[int], RunRecord]],
    kinds: frozenset[str],
    cuts: list[int],
    steps: list[tuple[int, int]],
    resume: bool,
) -> None:
    """The writer's bytes appear in arbitrary pieces, the reader takes arbitrary bites."""
    all_records = [make(number) for number, make in enumerate(made)]
    half = len(all_records) // 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        got: list[RunEntry] = []
        at: Position = START
        reader = RunLogReader(Window(folder), kinds)
        for segment, part in enumerate((all_records[:half], all_records[half:]), 1):
            data = segments.HEADER + b"".join(segments.frame(encode_record(each)) for each in part)
            grown = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
            for before, after in itertools.pairwise(grown):
                with open(folder / segments.file_name(segment), "ab") as file:
                    file.write(data[before:after])
                for max_rows, max_bytes in steps:
                    if resume:
                        reader = RunLogReader(Window(folder), kinds)
                    rows, _ = reader.read(at, max_rows, max_bytes)
                    assert len(rows) <= max_rows
                    at = rows[-1].position if rows else at
                    got += [row.entry for row in rows]
        while True:
            rows, more = reader.read(at, 3, 10_000)
            at = rows[-1].position if rows else at
            got += [row.entry for row in rows]
            if not more:
                break
    assert names(got) == [name for each in all_records for name in told(each, kinds)]
    assert len({entry.id for entry in got}) == len(got)


def write(folder: Path, segment: int, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / segments.file_name(segment)).write_bytes(segments.HEADER + data)


def framed(*numbers: int) -> bytes:
    return b"".join(segments.frame(encode_record(record(n, "a"))) for n in numbers)


def read(folder: Path, after: Position = START) -> list[str]:
    rows, more = RunLogReader(Window(folder), frozenset("a")).read(after, 1000, 1 << 30)
    assert not more
    return [row.entry.run.execution_id for row in rows]


@pytest.mark.parametrize("torn", [1, 5, 40])
def test_a_torn_tail_is_passed_over_once_there_is_a_newer_segment(
    tmp_path: Path, torn: int
) -> None:
    write(tmp_path, 7, framed(1, 2, 3)[:-torn])
    assert read(tmp_path) == ["x1", "x2"]
    write(tmp_path, 9, framed(4))
    assert read(tmp_path) == ["x1", "x2", "x4"]


def test_bytes_that_are_no_frame_cost_the_rest_of_their_segment(tmp_path: Path) -> None:
    data = bytearray(framed(1, 2, 3))
    data[len(framed(1)) + 20] ^= 1
    write(tmp_path, 1, bytes(data))
    write(tmp_path, 2, framed(4))
    assert read(tmp_path) == ["x1", "x4"]
    write(tmp_path, 1, framed(1) + b"\xff" * 50)
    assert read(tmp_path) == ["x1", "x4"]


def test_what_another_version_wrote_and_strange_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, 2, framed(1))
    (tmp_path / segments.file_name(1)).write_bytes(b"PYXRUNS\x09" + framed(5))
    (tmp_path / segments.file_name(3)).write_bytes(b"")
    (tmp_path / "cursors.json").write_text("{}")
    (tmp_path / "notes.runs").write_text("?")
    assert segments_in(tmp_path) == [1, 2, 3]
    assert read(tmp_path) == ["x1"]
    write(tmp_path, 4, segments.frame(b"\x91\x01") + framed(6))
    assert read(tmp_path) == ["x1", "x6"], "a record of a later format"


def test_a_cursor_into_what_was_swept_goes_on_with_what_is_left(tmp_path: Path) -> None:
    write(tmp_path, 5, framed(1, 2))
    write(tmp_path, 8, framed(3))
    rows, _ = RunLogReader(Window(tmp_path), frozenset("a")).read(START, 1, 1 << 30)
    assert read(tmp_path, rows[0].position) == ["x2", "x3"]
    os.unlink(tmp_path / segments.file_name(5))
    assert read(tmp_path, rows[0].position) == ["x3"]
    assert read(tmp_path, segments.position(99, 0)) == []
    assert read(tmp_path / "nowhere") == []


def test_a_record_larger_than_a_read_is_read(tmp_path: Path) -> None:
    large = record(1, "a")
    line = LogLine("LOG", "x" * 1_000_000, 0.0)
    large = RunRecord(
        **{name: getattr(large, name) for name in RunRecord.__struct_fields__ if name != "report"},
        report=Report(lines=(line,), items=large.report.items),
    )
    write(tmp_path, 1, framed(0) + segments.frame(encode_record(large)) + framed(2))
    assert read(tmp_path) == ["x0", "x1", "x2"]


def test_entries_know_their_run_and_keep_their_ids(tmp_path: Path) -> None:
    write(tmp_path, 1, segments.frame(encode_record(record(1, "a", "b", lines=1, error="no"))))

    def entries() -> list[RunEntry]:
        rows, _ = RunLogReader(Window(tmp_path), frozenset(KINDS)).read(START, 100, 1 << 30)
        return [row.entry for row in rows]

    line, a, b, exception, execution = entries()
    assert isinstance(line.value, LogLine)
    assert isinstance(exception.value, ExceptionReport)
    assert (a.value, b.value, execution.value) == (1, 1, None)
    assert {entry.run.report.user_id for entry in entries()} == {"ada"}
    assert [entry.id for entry in entries()] == [
        entry.id for entry in (line, a, b, exception, execution)
    ]
    assert exception.run.report.lines == ()

"""Readers of one window: each gets what it would get alone, within the window's bound."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.runlog import ExceptionReport, Item, LogLine, Report, RunRecord, segments
from pyconvex.runlog import window as window_module
from pyconvex.runlog.entries import EntryRow, RunEntry
from pyconvex.runlog.reader import RunLogReader, count_entries, segments_in
from pyconvex.runlog.record import encode_record
from pyconvex.runlog.report import encode_value
from pyconvex.runlog.window import Window
from pyconvex.storage import START, Position

KINDS = ("a", "b", "exception", "log", "execution")


def record(number: int, items: Sequence[str], lines: int, error: str) -> RunRecord:
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
            lines=tuple(LogLine("LOG", f"line {n}, it\u2019s on", 0.0) for n in range(lines)),
            items=tuple(Item(kind, "", encode_value(number)) for kind in items),
            exception=encode_value(told) if error else b"",
            user_id="ada",
        ),
    )


class Lane:
    """A reader that shares, and beside it one that is alone; they are asked the same."""

    def __init__(self, shared: Window, kinds: frozenset[str]) -> None:
        self._shared, self._kinds = shared, kinds
        self.at: Position = START
        self.begin()

    def begin(self) -> None:
        """As after a restart, and after a change of what the lane reads."""
        self._reader = RunLogReader(self._shared, self._kinds)
        self._alone = RunLogReader(Window(self._shared.folder, kept_bytes=0), self._kinds)

    def read(self, max_rows: int, max_bytes: int) -> bool:
        rows, more = self._reader.read(self.at, max_rows, max_bytes)
        expected, expected_more = self._alone.read(self.at, max_rows, max_bytes)
        assert told(rows) == told(expected)
        assert more == expected_more
        assert len(rows) <= max_rows
        self.at = rows[-1].position if rows else self.at
        return more


def told(rows: Sequence[EntryRow]) -> list[tuple[Position, int, bytes]]:
    return [(row.position, row.size, msgspec.msgpack.encode(row.entry)) for row in rows]


kinds_of_a_lane = st.frozensets(st.sampled_from(KINDS), min_size=1)
#: What happens: the log grows by so many bytes of what was written, a lane reads or starts again,
#: the oldest segment is swept, another segment begins.
steps = st.one_of(
    st.tuples(st.just("grow"), st.integers(1, 600)),
    st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 8), st.integers(1, 3000)),
    st.tuples(st.just("restart"), st.integers(0, 2)),
    st.tuples(st.just("jump"), st.integers(0, 2), st.integers(0, 30)),
    st.tuples(st.just("segment")),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("spoil")),
)


class Log:
    """Segments that grow as a writer's do, by arbitrary pieces."""

    def __init__(self, folder: Path, unwritten: bytes) -> None:
        self.folder = folder
        self._unwritten = unwritten
        self._segment = 0
        self.begin_segment()

    def begin_segment(self) -> None:
        self._segment += 3
        self._write(segments.HEADER)

    def grow(self, size: int) -> None:
        self._write(self._unwritten[:size])
        self._unwritten = self._unwritten[size:]

    def spoil(self) -> None:
        """What a crash may leave: bytes that are no frame, after which a new segment begins."""
        self._write(b"\xff" * 12)
        self.begin_segment()

    def sweep(self) -> None:
        oldest, *others = segments_in(self.folder)
        if others:
            (self.folder / segments.file_name(oldest)).unlink()

    def _write(self, data: bytes) -> None:
        with open(self.folder / segments.file_name(self._segment), "ab") as file:
            file.write(data)


@given(
    made=st.lists(
        st.tuples(
            st.lists(st.sampled_from(("a", "b")), max_size=3),
            st.integers(0, 4),
            st.sampled_from(("", "no")),
        ),
        min_size=1,
        max_size=12,
    ),
    kinds=st.tuples(kinds_of_a_lane, kinds_of_a_lane, kinds_of_a_lane),
    happens=st.lists(steps, max_size=40),
    kept_bytes=st.integers(0, 3000),
    read_bytes=st.integers(16, 2000),
)
@settings(max_examples=300, deadline=None)
def test_lanes_that_share_get_what_each_would_get_alone(
    made: list[tuple[list[str], int, str]],
    kinds: tuple[frozenset[str], ...],
    happens: list[tuple[object, ...]],
    kept_bytes: int,
    read_bytes: int,
) -> None:
    records = [record(number, *each) for number, each in enumerate(made)]
    written = [segments.frame(encode_record(each)) for each in records]
    largest = max(map(len, written))
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_module, "READ_BYTES", read_bytes)
        log = Log(Path(name), b"".join(written))
        window = Window(log.folder, kept_bytes=kept_bytes)
        lanes = [Lane(window, each) for each in kinds]
        seen: list[Position] = [START]
        for step in happens:
            match step:
                case ("grow", int(size)):
                    log.grow(size)
                case ("read", int(lane), int(max_rows), int(max_bytes)):
                    lanes[lane].read(max_rows, max_bytes)
                    seen.append(lanes[lane].at)
                case ("restart", int(lane)):
                    lanes[lane].begin()
                case ("jump", int(lane), int(place)):
                    lanes[lane].at = seen[place % len(seen)]
                case ("segment",):
                    log.begin_segment()
                case ("spoil",):
                    log.spoil()
                case ("sweep",):
                    log.sweep()
            assert window.kept_bytes <= max(kept_bytes, read_bytes, largest)
        for lane in lanes:
            while lane.read(3, 2000):
                pass


@given(st.frozensets(st.sampled_from(KINDS)), st.integers(0, 40), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_what_is_counted_is_what_a_reader_would_get(
    kinds: frozenset[str], after: int, last_segment: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for segment in (1, 2, 3):
            made = [record(10 * segment + n, ("a", "b"), 2, "no") for n in range(3)]
            frames = b"".join(segments.frame(encode_record(each)) for each in made)
            (folder / segments.file_name(segment)).write_bytes(segments.HEADER + frames)
        everything, _ = RunLogReader(Window(folder), frozenset(KINDS)).read(START, 1000, 1 << 30)
        place = everything[after].position
        rows, _ = RunLogReader(Window(folder), kinds).read(place, 1000, 1 << 30)
        expected = sum(row.position.ts <= last_segment for row in rows)
        assert count_entries(folder, kinds, place, last_segment) == expected


def test_whoever_comes_second_is_given_the_same_objects(tmp_path: Path) -> None:
    frames = segments.frame(encode_record(record(1, ("a",), 3, "no")))
    (tmp_path / segments.file_name(1)).write_bytes(segments.HEADER + frames)
    window = Window(tmp_path)
    first, _ = RunLogReader(window, frozenset({"log", "a"})).read(START, 100, 1 << 30)
    second, _ = RunLogReader(window, frozenset({"log", "exception"})).read(START, 100, 1 << 30)
    assert [row.entry.kind for row in first] == ["log", "log", "log", "a"]
    assert [row.entry.kind for row in second] == ["log", "log", "log", "exception"]
    assert all(one is other for one, other in zip(first[:3], second[:3], strict=True))
    calls: list[RunEntry] = []

    def make(entry: RunEntry) -> int:
        calls.append(entry)
        return len(calls)

    assert [row.entry.once(make) for row in (*first[:2], *second[:2])] == [1, 2, 1, 2]
    assert first[0].entry.once(lambda entry: entry.kind) == "log"

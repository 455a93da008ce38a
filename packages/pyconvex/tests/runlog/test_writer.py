"""Writing the run log: grouped, bounded, and never a reason for a function to fail."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from pyconvex.runlog import Item, Report, RunRecord
from pyconvex.runlog.cursors import cursor_key
from pyconvex.runlog.log import FOLDER, RunLog
from pyconvex.runlog.reader import RunLogReader, segments_in
from pyconvex.runlog.record import encode_record
from pyconvex.runlog.report import encode_value
from pyconvex.runlog.segments import file_name
from pyconvex.runlog.window import Window
from pyconvex.runlog.writer import Bounds, RunLogWriter
from pyconvex.storage import START

DEADLINE_S = 30.0


def record(name: str, *, durable: bool = False, items: int = 1) -> RunRecord:
    item = Item("a", "", encode_value(name), durable)
    return RunRecord(
        ts_ms=0.0,
        began_ms=0.0,
        request_id="r",
        execution_id=name,
        kind="query",
        path="p:q",
        report=Report(items=(item,) * items),
    )


def body(name: str) -> bytes:
    return encode_record(record(name))


def found(folder: Path, kind: str = "a") -> list[str]:
    rows, _ = RunLogReader(Window(folder), frozenset([kind])).read(START, 10_000, 1 << 30)
    return [row.entry.run.execution_id for row in rows]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), DEADLINE_S))


class Syncs:
    """Counts syncs; raises while `failing`."""

    def __init__(self) -> None:
        self.count = 0
        self.failing = False

    def __call__(self, fd: int) -> None:
        self.count += 1
        if self.failing:
            raise OSError(errno.EIO, "no")


def test_what_must_last_is_synced_before_it_is_confirmed_and_in_groups(tmp_path: Path) -> None:
    async def main() -> None:
        syncs = Syncs()
        writer = RunLogWriter(tmp_path, sync=syncs)
        writer.start()
        waits = [writer.append(body(f"{n}"), lasting=True) for n in range(50)]
        for wait in waits:
            assert wait is not None
            await wait
            assert syncs.count > 0
        assert found(tmp_path) == [f"{n}" for n in range(50)]
        assert syncs.count < 25
        writer.close()

    run(main)


def test_what_need_not_last_gathers_and_is_told_once_it_can_be_read(tmp_path: Path) -> None:
    async def main() -> None:
        written: list[list[str]] = []
        syncs = Syncs()
        writer = RunLogWriter(
            tmp_path,
            bounds=Bounds(sync_s=0.05),
            sync=syncs,
            on_written=lambda: written.append(found(tmp_path)),
        )
        writer.start()
        for n in range(100):
            assert writer.append(body(f"{n}"), lasting=False) is None
        assert found(tmp_path) == []
        await until(lambda: bool(written) and len(written[-1]) == 100)
        assert len(written) < 10, "one write for many"
        await until(lambda: syncs.count > 0)
        writer.close()

    run(main)


def test_what_comes_after_its_end_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        writer = RunLogWriter(tmp_path)
        writer.start()
        writer.close()
        assert writer.append(body("late"), lasting=True) is None
        assert writer.dropped == 1

    run(main)


def test_close_writes_what_is_left(tmp_path: Path) -> None:
    async def main() -> None:
        writer = RunLogWriter(tmp_path, bounds=Bounds(gather_s=60))
        writer.start()
        writer.append(body("last"), lasting=False)
        writer.close()

    run(main)
    assert found(tmp_path) == ["last"]


def test_segments_are_cut_and_never_appended_to_again(tmp_path: Path) -> None:
    async def main() -> None:
        for round in range(2):
            writer = RunLogWriter(tmp_path, bounds=Bounds(segment_bytes=400), now_s=lambda: 1.0)
            writer.start()
            for n in range(10):
                await (writer.append(body(f"{round}.{n}"), lasting=True) or asyncio.sleep(0))
            writer.close()

    run(main)
    assert found(tmp_path) == [f"{r}.{n}" for r in range(2) for n in range(10)]
    assert len(segments_in(tmp_path)) > 4
    assert segments_in(tmp_path)[0] == 1000, "by the clock"


def test_a_segment_of_yesterday_takes_no_more(tmp_path: Path) -> None:
    now_s = 1e9

    async def main() -> None:
        nonlocal now_s
        writer = RunLogWriter(tmp_path, now_s=lambda: now_s)
        writer.start()
        for name in ("one", "two", "three"):
            await (writer.append(body(name), lasting=True) or asyncio.sleep(0))
            now_s += 20 * 3600
        writer.close()

    run(main)
    assert found(tmp_path) == ["one", "two", "three"]
    assert [number / 3_600_000 for number in segments_in(tmp_path)] == [
        pytest.approx(1e9 / 3600),
        pytest.approx(1e9 / 3600 + 40),
    ]


def test_a_disk_that_refuses_drops_records_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.write
    full = False

    def write(fd: int, data: bytes) -> int:
        if full and len(data) > 5 and data[:7] != b"PYXRUNS":
            return real(fd, data[:5])  # some of it, then nothing
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    async def main() -> None:
        nonlocal full
        writer = RunLogWriter(tmp_path, bounds=Bounds(gather_s=0.001))
        writer.start()
        await (writer.append(body("before"), lasting=True) or asyncio.sleep(0))
        monkeypatch.setattr(os, "write", write)
        full = True
        with caplog.at_level(logging.ERROR):
            for n in range(3):
                await (writer.append(body(f"lost {n}"), lasting=True) or asyncio.sleep(0))
        assert writer.dropped == 3
        assert len([r for r in caplog.records if "can't be written" in r.message]) == 1
        full = False
        await (writer.append(body("after"), lasting=True) or asyncio.sleep(0))
        writer.close()

    run(main)
    assert found(tmp_path) == ["before", "after"]


def test_a_reader_that_saw_what_then_failed_loses_nothing_of_what_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    reader = RunLogReader(Window(tmp_path), frozenset(["a"]))
    seen: list[str] = []
    at = START

    def look() -> None:
        nonlocal at
        rows, _ = reader.read(at, 10_000, 1 << 30)
        seen.extend(row.entry.run.execution_id for row in rows)
        at = rows[-1].position if rows else at

    def write(fd: int, data: bytes) -> int:
        if len(data) < 5:
            look()  # the first of two records stands there whole
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:-3])

    async def main() -> None:
        writer = RunLogWriter(tmp_path, bounds=Bounds(gather_s=60))
        writer.start()
        await (writer.append(body("before"), lasting=True) or asyncio.sleep(0))
        look()
        monkeypatch.setattr(os, "write", write)
        writer.append(body("torn 1"), lasting=False)
        await (writer.append(body("torn 2"), lasting=True) or asyncio.sleep(0))
        monkeypatch.setattr(os, "write", real)
        for name in ("of another length", "after"):
            await (writer.append(body(name), lasting=True) or asyncio.sleep(0))
        writer.close()

    run(main)
    look()
    assert seen == ["before", "torn 1", "of another length", "after"]
    assert found(tmp_path) == ["before", "of another length", "after"]


def test_a_failed_sync_confirms_and_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    async def main() -> None:
        syncs = Syncs()
        writer = RunLogWriter(tmp_path, sync=syncs)
        writer.start()
        syncs.failing = True
        await (writer.append(body("one"), lasting=True) or asyncio.sleep(0))
        syncs.failing = False
        await (writer.append(body("two"), lasting=True) or asyncio.sleep(0))
        writer.close()

    run(main)
    assert found(tmp_path) == ["one", "two"]
    assert len(segments_in(tmp_path)) == 2


def test_a_fault_of_the_logs_own_leaves_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def sync(fd: int) -> None:
        raise RuntimeError("a fault")

    async def main() -> None:
        writer = RunLogWriter(tmp_path, sync=sync)
        writer.start()
        with caplog.at_level(logging.ERROR):
            for name in ("one", "two"):
                await (writer.append(body(name), lasting=True) or asyncio.sleep(0))
        writer.close()

    run(main)
    assert found(tmp_path) == ["one", "two"]
    assert "The run log has a fault" in caplog.text


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        writer = RunLogWriter(tmp_path / "file" / "runlog")
        writer.start()
        await (writer.append(body("one"), lasting=True) or asyncio.sleep(0))
        assert writer.dropped == 1
        writer.close()

    run(main)


def test_what_waits_for_a_disk_that_stands_still_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        size = len(body("0"))
        writer = RunLogWriter(tmp_path, bounds=Bounds(gather_s=60, max_waiting_bytes=10 * size))
        writer.start()
        for _ in range(30):
            writer.append(body("0"), lasting=False)
        assert writer.dropped > 15
        writer.close()

    run(main)


# The whole log


def test_only_what_tells_something_is_written_unless_a_lane_wants_everything(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        log = RunLog(tmp_path)
        log.start()
        assert log.keep(record("quiet", items=0)) is None
        assert log.keep(record("telling")) is None
        await (log.keep(record("lasting", durable=True)) or asyncio.sleep(0))
        assert found(log.folder, "execution") == ["telling", "lasting"]
        log.set_lanes(["lane"])
        log.reads("lane", ["execution"])
        log.keep(record("quiet too", items=0))
        log.close()
        assert [each.execution_id for each in log.recent.after(0)] == [
            "quiet",
            "telling",
            "lasting",
            "quiet too",
        ]

    run(main)
    assert found(tmp_path / FOLDER, "execution")[2:] == ["quiet too"]


def test_what_a_lane_asks_by_the_clock_is_kept_nowhere(tmp_path: Path) -> None:
    async def main() -> None:
        log = RunLog(tmp_path)
        log.start()
        log.set_lanes(["lane"])
        log.reads("lane", ["execution"])
        look = replace(record("look", items=0), kind="query", reason="scheduler")
        log.keep(look)
        log.keep(replace(look, execution_id="failed", error="no"))
        log.keep(replace(look, execution_id="job", kind="mutation"))
        log.close()
        assert [each.execution_id for each in log.recent.after(0)] == ["failed", "job"]

    run(main)
    assert found(tmp_path / FOLDER, "execution") == ["failed", "job"]


def test_a_new_lane_begins_now_and_an_old_one_where_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        log = RunLog(tmp_path)
        log.start()
        await (log.keep(record("before", durable=True)) or asyncio.sleep(0))
        log.set_lanes(["lane"])
        await (log.keep(record("one", durable=True)) or asyncio.sleep(0))
        await (log.keep(record("two", durable=True)) or asyncio.sleep(0))
        cursor = log.cursor("lane")
        assert cursor is not None
        rows, _ = RunLogReader(Window(log.folder), frozenset("a")).read(
            cursor.position, 10, 1 << 30
        )
        assert [row.entry.run.execution_id for row in rows] == ["one", "two"]
        log.acknowledge("lane", rows[0].position)
        log.acknowledge("lane", START)  # it never goes back
        log.close()

        again = RunLog(tmp_path)
        again.start()
        again.set_lanes(["lane", "other"])
        lane, other = again.cursor("lane"), again.cursor("other")
        again.close()
        assert lane is not None
        assert other is not None
        assert lane.position == rows[0].position < other.position
        rest, _ = RunLogReader(Window(log.folder), frozenset("a")).read(other.position, 10, 1 << 30)
        assert rest == []

    run(main)


def test_the_log_is_bounded_and_what_a_lane_loses_by_it_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        bounds = Bounds(segment_bytes=1000, max_bytes=3000)
        log = RunLog(tmp_path, bounds=bounds)
        log.start()
        lane = cursor_key("shop", "mod:Lane")
        log.set_lanes([lane])
        log.reads(lane, ["a"])
        for n in range(100):
            await (log.keep(record(f"{n}", durable=True)) or asyncio.sleep(0))
        with caplog.at_level(logging.ERROR):
            await log.sweep()
        left = found(log.folder)
        assert 0 < len(left) < 40
        assert left[-1] == "99"
        cursor = log.cursor(lane)
        assert cursor is not None
        assert cursor.dropped == 100 - len(left)
        assert any(f"Lane {lane} lost" in record.message for record in caplog.records)
        assert log.lost_by("shop", "Lane") == cursor.dropped
        assert log.lost_by("shop", "Other") == log.lost_by("", "Lane") == 0
        rows, _ = RunLogReader(Window(log.folder), frozenset("a")).read(
            cursor.position, 100, 1 << 30
        )
        assert [row.entry.run.execution_id for row in rows] == left
        await log.sweep()
        assert found(log.folder) == left
        log.close()

    run(main)


@pytest.mark.parametrize("days", [30, -30])
def test_a_clock_that_is_set_makes_nothing_old_and_no_place_twice(
    tmp_path: Path, days: int
) -> None:
    async def main() -> None:
        now_ms = time.time() * 1000
        log = RunLog(tmp_path, bounds=Bounds(segment_bytes=1), now_ms=lambda: now_ms)
        log.start()
        for n in range(6):
            await (log.keep(record(f"{n}", durable=True)) or asyncio.sleep(0))
            await log.sweep()
            if n == 1:
                now_ms += days * 86_400_000  # set, and set right again
            if n == 3:
                now_ms -= days * 86_400_000
        assert found(log.folder) == [f"{n}" for n in range(6)]
        log.close()

    run(main)


def test_old_segments_go(tmp_path: Path) -> None:
    async def main() -> None:
        now_ms = 1e12
        log = RunLog(tmp_path, bounds=Bounds(segment_bytes=1), now_ms=lambda: now_ms)
        log.start()
        for n in range(3):
            await (log.keep(record(f"{n}", durable=True)) or asyncio.sleep(0))
        first, second, _ = segments_in(log.folder)
        os.utime(log.folder / file_name(first), (1e9 - 8 * 86400,) * 2)
        os.utime(log.folder / file_name(second), (1e9, 1e9))
        await log.sweep()
        assert found(log.folder) == ["1", "2"]
        log.close()

    run(main)

"""One companion: begun, started again and ended as its file wants."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from sample_companions import FILE, told

from pyconvex.companions import Companions, CompanionState, CompanionStatus, Project
from pyconvex.companions.companion import GROUP
from pyconvex.companions.process import NICENESS

#: Far more than anything takes, for machines that are busy with something else.
DEADLINE_S = 60.0
KEY = "local|0123456789"
State = CompanionState


class Beside:
    """Companions without a host."""

    def __init__(self, folder: Path, value: str) -> None:
        self.folder = folder
        self.said: list[str] = []
        #: How often it had failed when a pause was asked for.
        self.pauses: list[int] = []
        self.all = Companions(
            Project(folder=folder, urls=("http://127.0.0.1:3210",)),
            KEY,
            pause_s=self._pause_s,
            points=[EntryPoint("sample", value, GROUP)],
            say=lambda name, line: self.said.append(f"{name}: {line}"),
        )

    def _pause_s(self, failures: int) -> float:
        self.pauses.append(failures)
        return 0.0 if failures < 4 else 3600.0

    @property
    def status(self) -> CompanionStatus:
        return self.all.status()[0]

    def wants(self, words: str) -> None:
        """Write its file; never the same stamp twice."""
        (self.folder / "next").write_text(words)
        (self.folder / "next").replace(self.folder / FILE)

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, (self.status, self.said)
            await asyncio.sleep(0.01)

    async def is_in(self, state: CompanionState) -> None:
        await self.until(lambda: self.status.state is state)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@asynccontextmanager
async def beside(
    folder: Path, words: str | None, value: str = "sample_companions:SAMPLE"
) -> AsyncIterator[Beside]:
    found = Beside(folder, value)
    if words is not None:
        found.wants(words)
    found.all.start()
    try:
        yield found
    finally:
        await found.all.ended()
    assert found.status.state is State.ENDED
    assert found.status.pid is None


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone between the two looks, or no such files here
        return not Path("/proc/self").exists()


async def test_it_runs_at_the_side_of_the_host_and_ends_with_it(tmp_path: Path) -> None:
    async with beside(tmp_path, "steady") as it:
        await it.until(lambda: told(tmp_path, "steady"))
        await it.until(lambda: it.said)
        where = tmp_path.resolve()
        assert it.said == [f"sample: at http://127.0.0.1:3210 in {where} --for tests"]
        status = it.status
        assert (status.state, status.starts, status.failures) == (State.RUNNING, 1, 0)
        assert status.program == "sample_companions:steady --for tests"
        assert [status.pid] == told(tmp_path, "steady")
        assert status.last_line.startswith("at http")
        assert KEY not in repr(status)
    assert status.pid is not None
    assert not lives(status.pid)


async def test_its_process_has_the_key_a_low_priority_and_no_input(tmp_path: Path) -> None:
    async with beside(tmp_path, "inspect") as it:
        await it.until(lambda: len(it.said) == 2)
        niceness = min(os.nice(0) + NICENESS, 19)  # these tests may be run with `nice`
        assert it.said == [f"sample: nice {niceness} input '' key True", "sample: in argv False"]


async def test_it_begins_goes_and_changes_with_its_file(tmp_path: Path) -> None:
    async with beside(tmp_path, None) as it:
        await it.until(lambda: it.status.reason)
        assert it.status.state is State.NOT_SET_UP
        assert it.status.reason == f"there is no {tmp_path / FILE}; write a word into it"
        it.wants("idle")
        await it.is_in(State.IDLE)
        assert it.status.reason == "it is told not to"
        it.wants("steady")
        await it.until(lambda: told(tmp_path, "steady"))
        [first] = told(tmp_path, "steady")
        it.wants("parent")
        await it.until(lambda: told(tmp_path, "parent"))
        assert not lives(first)
        (tmp_path / FILE).unlink()
        await it.is_in(State.NOT_SET_UP)
        assert not lives(told(tmp_path, "parent")[0])
        await it.until(lambda: not lives(told(tmp_path, "child")[0]))


async def test_one_that_crashes_at_once_is_started_again_after_longer_and_longer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with beside(tmp_path, "crash") as it:
        await it.until(lambda: it.status.failures == 4)
        assert it.pauses == [1, 2, 3, 4]
        assert it.said == ["sample: I can't"] * 4
        status = it.status
        assert (status.state, status.starts) == (State.RESTARTING, 4)
        assert (status.reason, status.last_line) == ("it ended with status 3", "I can't")
        assert status.next_ms is not None
        assert "The companion sample: it ended with status 3; next start in 0.0 s" in caplog.text
        it.wants("steady")  # mended: nobody waits for the hour to pass
        await it.until(lambda: told(tmp_path, "steady"))
        assert it.status.failures == 0


async def test_one_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with beside(tmp_path, "steady") as it:
        await it.until(lambda: told(tmp_path, "steady"))
        os.kill(told(tmp_path, "steady")[0], 9)
        await it.until(lambda: len(told(tmp_path, "steady")) == 2)
        assert it.pauses == [1]


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with beside(tmp_path, "stubborn") as it:
        await it.until(lambda: told(tmp_path, "stubborn"))
        [pid] = told(tmp_path, "stubborn")
        it.all.leave()
        await asyncio.sleep(0)
    assert not lives(pid)


async def test_one_that_does_its_work_and_ends_is_started_by_the_clock(tmp_path: Path) -> None:
    async with beside(tmp_path, "once 3600") as it:
        await it.is_in(State.WAITING)
        assert it.status.next_ms is not None
        assert it.pauses == []
        it.wants("once 0.001")
        await it.until(lambda: it.status.starts > 3)


async def test_a_flood_of_lines_holds_nobody_up(tmp_path: Path) -> None:
    async with beside(tmp_path, "flood") as it:
        await it.until(lambda: len(it.said) > 50)
        [pid] = told(tmp_path, "flood")
    assert not lives(pid)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_package:SAMPLE", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("sample_companions:NO_COMPANION", "TypeError: sample_companions:NO_COMPANION is no"),
    ],
)
async def test_a_package_that_is_missing(
    tmp_path: Path, value: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with beside(tmp_path, "steady", value) as it:
        await it.is_in(State.BROKEN)
        assert it.status.reason.startswith(reason)
        assert f"The companion sample can't run: {reason}" in caplog.text


@pytest.mark.parametrize(
    ("words", "reason"),
    [("raise", "ValueError: what is this?"), ("bad", "the file can't be read")],
)
async def test_a_file_that_says_nothing_is_told_and_looked_at_again(
    tmp_path: Path, words: str, reason: str
) -> None:
    async with beside(tmp_path, words) as it:
        await it.is_in(State.BROKEN)
        assert it.status.reason == reason
        it.wants("steady")
        await it.until(lambda: told(tmp_path, "steady"))


async def test_a_program_that_is_missing(tmp_path: Path) -> None:
    async with beside(tmp_path, "no_such_function") as it:
        await it.until(lambda: it.status.failures == 4)
        assert it.said[0].startswith("sample: sample_companions:no_such_function can't be loaded")

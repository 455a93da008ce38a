"""Companions of a host that runs as a command: told of, and gone when it is, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cli_process import APP, DEADLINE_S, Running
from sample_companions import FILE, told
from test_keeper import lives

from pyconvex.companions import CompanionState, Idle, Program, Project

HERE = Path(__file__).parent
POINTS = "[pyconvex.companions]\nsample = sample_companions:SAMPLE\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package that offers a companion were installed."""
    about = tmp_path / "site" / "sample-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    monkeypatch.setenv("PYTHONPATH", f"{about.parent}{os.pathsep}{HERE}")


@pytest.fixture
def project(tmp_path: Path, installed: None) -> Path:
    folder = tmp_path / "project"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex" / "lib.py").write_text(APP)
    return folder


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(folder: Path, *arguments: str) -> Running:
        started.append(Running(folder, *arguments, "--port", "0", "--json"))
        return started[-1]

    yield start
    for each in started:
        each.stop(signal.SIGKILL)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return found


def companion(url: str, key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Convex {key}"}
    status = httpx2.get(url + "/api/pyconvex/status", headers=headers, timeout=DEADLINE_S).json()
    return {each["name"]: each for each in status["companions"]}["sample"]


def key_of(project: Path) -> str:
    return (project / ".pyconvex" / "admin_key").read_text().strip()


def doctor(project: Path, url: str) -> str:
    command = "from pyconvex.cli import main; main(prog_name='pyconvex')"
    where = ("--url", url, "--admin-key", key_of(project), "--no-send")
    done = subprocess.run(
        [sys.executable, "-c", command, "doctor", *where],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    return done.stdout


@pytest.mark.parametrize("command", ["dev", "start"])
def test_it_is_told_of_and_ends_with_the_host(
    project: Path, running: Callable[..., Running], command: str
) -> None:
    (project / FILE).write_text("steady")
    host = running(project, command, "--functions", "convex")
    url = host.wait_for("url")
    [pid] = until(lambda: told(project, "steady"))
    found = companion(url, key_of(project))
    assert (found["state"], found["pid"], found["starts"]) == ("running", pid, 1)
    told_by_doctor = doctor(project, url)
    assert f"✓ companion sample: running as process {pid}\n" in told_by_doctor
    line = f"[sample] at {url} in {project.resolve()} --for tests"
    until(lambda: line in host.err)
    assert host.stop() == 0
    assert not lives(pid)
    assert line not in host.out
    folder = project / ".pyconvex"
    kept = b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    assert b"--for tests" not in kept, "what it prints is in no run log"


def test_a_host_that_is_killed_leaves_none_behind(
    project: Path, running: Callable[..., Running]
) -> None:
    (project / FILE).write_text("stubborn")
    host = running(project, "start")
    host.wait_for("url")
    [pid] = until(lambda: told(project, "stubborn"))
    os.kill(host.process.pid, signal.SIGKILL)
    until(lambda: not lives(pid))


def test_one_that_ignores_sigterm_and_one_that_crashes_stop_no_host(
    project: Path, running: Callable[..., Running]
) -> None:
    (project / FILE).write_text("stubborn")
    host = running(project, "start")
    host.wait_for("url")
    [pid] = until(lambda: told(project, "stubborn"))
    assert host.stop() == 0
    assert not lives(pid)
    (project / FILE).write_text("crash")
    host = running(project, "start")
    url, key = host.wait_for("url"), key_of(project)
    found = until(lambda: (now := companion(url, key))["failures"] > 1 and now)
    assert found["lastLine"] == "I can't"
    told_by_doctor = doctor(project, url)
    assert "companion sample: r" in told_by_doctor  # running for a moment, or restarting
    assert "    it said last: I can't\n" in told_by_doctor
    assert host.stop() == 0


def test_a_host_may_be_told_to_run_none(project: Path, running: Callable[..., Running]) -> None:
    (project / FILE).write_text("steady")
    host = running(project, "start", "--no-companions")
    url = host.wait_for("url")
    headers = {"Authorization": f"Convex {key_of(project)}"}
    status = httpx2.get(url + "/api/pyconvex/status", headers=headers, timeout=DEADLINE_S).json()
    assert status["companions"] == []
    assert host.stop() == 0
    assert told(project, "steady") == []


def test_the_guides_companion(tmp_path: Path) -> None:
    page = (HERE.parents[3] / "docs" / "companions.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    tea, project = names["TEA"], Project(folder=tmp_path, urls=("http://127.0.0.1:3210",))
    (tmp_path / tea.file).write_text("brew = true")
    assert tea.program(project) == Program(run="tea.kettle:main", arguments=("--cups", "3"))
    (tmp_path / tea.file).write_text("brew = false")
    assert tea.program(project) == Idle(reason="`brew` in tea.toml is not true")
    for state in CompanionState:
        assert f"| `{state.value}` |" in page

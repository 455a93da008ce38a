"""`./run` installs what a command needs: once, also when two commands want it at the same time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Waits in the middle of what it does until somebody writes into the pipe.
NPM = """#!/usr/bin/env bash
echo "$*" >>calls
rm -rf page/node_modules
mkdir page/node_modules
read -r <go_on
echo all >page/node_modules/package
"""

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="this system has no flock")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with one npm project, and the script's functions without its commands."""
    functions, command = (ROOT / "run").read_text().rsplit("\nmain ", 1)
    assert command.strip() == '"$@"'
    (tmp_path / "run").write_text(f"{functions}\nnpm_env page\n")
    for folder in ("page", ".venv", "bin"):
        (tmp_path / folder).mkdir()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "page" / name).write_text("{}")
    for name, text in {"npm": NPM, "node": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    os.mkfifo(tmp_path / "go_on")
    return tmp_path


@pytest.fixture
def started(clone: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two commands in that folder at once."""
    environment = os.environ | {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}"}
    commands: list[subprocess.Popen[str]] = []
    for _ in range(2):
        command = ["bash", str(clone / "run")]
        commands.append(
            subprocess.Popen(
                command,
                env=environment,
                text=True,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        )
    yield commands
    for each in commands:
        with suppress(ProcessLookupError):
            os.killpg(each.pid, signal.SIGKILL)
        each.communicate()


def test_two_at_once_take_turns_with_an_npm_project(
    clone: Path, started: list[subprocess.Popen[str]]
) -> None:
    said = [_line(each) for each in started]
    assert sorted(said) == [
        "Installing the npm packages of page (once)",
        "Waiting for another ./run, which installs something here",
    ]
    (clone / "go_on").write_text("now\n")
    assert [each.wait(timeout=30) for each in started] == [0, 0]
    assert len((clone / "calls").read_text().splitlines()) == 1
    assert (clone / "page" / "node_modules" / "package").exists()


def _line(command: subprocess.Popen[str]) -> str:
    assert command.stderr is not None
    return command.stderr.readline().strip()

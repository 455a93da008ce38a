"""A project in a folder, and commands that serve it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cli_process import APP, Running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a functions folder in it."""
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "lib.py").write_text(APP)
    return tmp_path


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    """Starts commands, and ends what a test leaves."""
    started: list[Running] = []

    def start(folder: Path, *arguments: str) -> Running:
        started.append(Running(folder, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.stop(signal.SIGKILL)

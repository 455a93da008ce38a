"""Projects in folders of their own, made and served by the commands as a person would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "packages" / "pyconvex" / "tests" / "cli"))
sys.path.insert(0, str(Path(__file__).parent))

from cli_process import Running  # noqa: E402


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    """Starts commands, and ends what a test leaves."""
    started: list[Running] = []

    def start(folder: Path, *arguments: str) -> Running:
        started.append(Running(folder, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.stop()

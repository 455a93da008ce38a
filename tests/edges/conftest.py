"""One deployment for all tests of the edges, and what its log says went wrong inside."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(HERE),
    str(ROOT / "tests" / "clients"),
    str(ROOT / "packages" / "pyconvex" / "tests" / "sync"),
]

from serving import Served, in_thread, pyconvex  # noqa: E402


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with in_thread(partial(pyconvex, HERE / "app")) as served:
        yield served


@pytest.fixture
def nothing_broke(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The server logged no error meanwhile: what it had no answer for is always logged."""
    yield
    broken = [record for record in caplog.records if record.exc_info]
    assert broken == [], [record.getMessage() for record in broken]

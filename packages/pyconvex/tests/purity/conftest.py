"""The guards, in this process, around every test of this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyconvex.runtime import purity

sys.path.insert(0, str(Path(__file__).parent))

from guarded import Ran, run_pure


@pytest.fixture(autouse=True)
def _guards() -> Iterator[None]:
    purity.install()
    yield
    purity.remove()


@pytest.fixture
def pure() -> Callable[..., Ran]:
    return run_pure

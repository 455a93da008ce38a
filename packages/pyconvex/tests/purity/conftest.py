"""The guards, in this process, and functions run under them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyconvex.runtime import purity
from pyconvex.runtime.pure_loop import new_loop

sys.path.insert(0, str(Path(__file__).parent))

NOW_MS = 1_700_000_000_123.0


@pytest.fixture(autouse=True)
def _guards() -> Iterator[None]:
    purity.install()
    yield
    purity.remove()


@dataclass
class Call:
    """A function call under way, with these variables."""

    environment: Mapping[str, str]


@dataclass
class Ran:
    """What a function gave, and whether it looked at a clock."""

    value: Any
    observed_time: bool


def run_pure(
    function: Callable[[], Any],
    *,
    seed: int = 1,
    now_ms: float = NOW_MS,
    ticking: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Run a function, and what it returns if that can be awaited, as a query would be."""

    async def main() -> Any:
        purity.enter_call(Call(environment or {}))
        value = function()
        return await value if inspect.isawaitable(value) else value

    active = purity.ActiveRun(now_ms, purity.Entropy(seed.to_bytes(8, "little")))
    active.ticking = ticking
    purity.begin(active)
    try:
        return Ran(new_loop().run(main()), active.observed_time)
    finally:
        purity.end()


@pytest.fixture
def pure() -> Callable[..., Ran]:
    return run_pure

"""Fixtures over `host_bench`."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyconvex.runtime.app.analysis import analyse
from pyconvex.runtime.app.image import AppImage
from pyconvex.runtime.app.loader import unload_app
from pyconvex.storage import Store

#: Where the tests, and the templates that they start, find what stands here.
HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)

from host_bench import DEADLINE_S, Bench, Deployment, gone, sources  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _templates_find_the_sample_component(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", HERE, prepend=":")


@pytest.fixture
def analysed() -> Iterator[Callable[..., AppImage]]:
    """Analyses an app in this process, and forgets its modules after the test."""
    packages: list[str] = []

    def make(folder: str = "/app", **modules: str) -> AppImage:
        packages.append(f"_test_app_{next(_numbers)}")
        return analyse(sources(**modules), folder, packages[-1])

    yield make
    for package in packages:
        unload_app(package)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(Store.open(tmp_path / "data", sync=lambda fd: None))
    yield bench
    bench.close()


Scenario = Callable[[Deployment], Coroutine[Any, Any, None]]


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario with a deployment, ends both, and sees that nothing is left of them."""

    def run(scenario: Scenario, **options: Any) -> None:
        async def main() -> list[int]:
            async with asyncio.timeout(DEADLINE_S):
                async with Deployment(tmp_path, **options) as deployment:
                    await scenario(deployment)
                    pids = [pid for pool in deployment.pools for pid in pool.pids]
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert left == set(), "tasks were left behind"
            return pids

        gone(asyncio.run(main()))

    return run

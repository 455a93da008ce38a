"""A DuckDB file is the deployment at its published timestamp, wherever the sync dies."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fake_convex import FakeConvex
from warehouse_worlds import QUIET, assert_true, work

from posthog_convex.warehouse.driver import Driver, Settings
from posthog_convex.warehouse.duckdb_file import DuckDBFile
from posthog_convex.warehouse.pager import Api


class Killed(BaseException):
    """The process ends here: nothing after this line happens."""


class Fuse:
    """Burns one step at a time, and kills at the last."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, step: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed(step)


def run(fake: FakeConvex, path: Path, api: Api = Api.AUTO, fuse: Fuse | None = None) -> bool:
    """One run of a new process; whether it ended by itself."""
    notice = fuse or (lambda step: None)
    destination = DuckDBFile(path, notice=notice)
    settings = Settings(deployment="https://fake.convex.cloud", api=api)
    try:
        Driver(fake, destination, settings, QUIET, notice=notice).run()
    except Killed:
        return False
    finally:
        destination.close()
    return True


SEEDS = [2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(10, 40))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ours", [False, True])
def test_every_snapshot_is_the_deployments(tmp_path: Path, seed: int, ours: bool) -> None:
    rng = random.Random(seed)
    fake = FakeConvex(seed=seed, page_rows=rng.choice([1, 3, 8]))
    fake.ours = ours
    path = tmp_path / "warehouse.duckdb"
    for _ in range(8):
        for _ in range(rng.randrange(8)):
            work(fake, rng)
        assert run(fake, path)
        progress = assert_true(fake, path)
        assert progress is not None
        assert progress.snapshot_ts is not None
        assert progress.snapshot_ts >= max(fake.history)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_every_step(tmp_path: Path, seed: int) -> None:
    rng = random.Random(100 + seed)
    fake = FakeConvex(seed=seed, page_rows=3)
    path = tmp_path / "warehouse.duckdb"
    for _ in range(15):
        work(fake, rng)
    steps = 1
    while not run(fake, path, fuse=Fuse(steps)):
        assert_true(fake, path)
        steps += 1
        if rng.random() < 0.3:
            work(fake, rng)
        if rng.random() < 0.05:
            fake.kept_from = fake.ts  # every cursor expires
    assert_true(fake, path)
    assert steps > 20

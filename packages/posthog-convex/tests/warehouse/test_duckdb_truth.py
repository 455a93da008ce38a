"""A DuckDB file is the deployment at its published timestamp, wherever the sync dies."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fake_convex import FakeConvex
from warehouse_worlds import Fuse, assert_true, ran, work

from posthog_convex.warehouse.driver import Settings
from posthog_convex.warehouse.duckdb_file import DuckDBFile, Notice


def run(fake: FakeConvex, path: Path, notice: Notice = lambda step: None) -> bool:
    """One run of a new process; whether it came to its end."""
    settings = Settings(deployment="https://fake.convex.cloud")
    return ran(fake, DuckDBFile(path, notice=notice), settings, notice)


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
    while not run(fake, path, Fuse(steps)):
        assert_true(fake, path)
        steps += 1
        if rng.random() < 0.3:
            work(fake, rng)
        if rng.random() < 0.05:
            fake.kept_from = fake.ts  # every cursor expires
    assert_true(fake, path)
    assert steps > 20

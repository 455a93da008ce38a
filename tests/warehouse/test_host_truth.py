"""A destination is the host's data at the published timestamp, wherever the sync dies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from export_world import ExportWorld
from host_source import TABLES, HostSource, expected, live
from warehouse_worlds import Fuse, assert_same, held, held_in_delta, held_in_parquet, ran

from posthog_convex.warehouse.destinations.delta_folder import DeltaFolder
from posthog_convex.warehouse.destinations.destination import Destination, Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.parquet_folder import ParquetFolder
from posthog_convex.warehouse.destinations.published import Published
from posthog_convex.warehouse.plan.progress import OnDrop
from posthog_convex.warehouse.sync.driver import Settings
from pyconvex.export.data_sync import PageLimits

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 20))]
Make = Callable[[Path, Notice], Destination]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ExportWorld]:
    world = ExportWorld(tmp_path / "data")
    for component, _ in TABLES:
        if component:
            world.mount(component)
    yield world
    world.close()


def a_duckdb_file(folder: Path, notice: Notice) -> Destination:
    return DuckDBFile(folder / "rows.duckdb", notice=notice)


def a_parquet_folder(folder: Path, notice: Notice) -> Destination:
    return Published(
        ParquetFolder(folder / "parquet", notice=notice), folder / "parquet" / "work", notice=notice
    )


def a_delta_folder(folder: Path, notice: Notice) -> Destination:
    return Published(
        DeltaFolder(str(folder / "delta"), notice=notice), folder / "work", notice=notice
    )


def run(source: HostSource, make: Make, folder: Path, notice: Notice = lambda step: None) -> bool:
    """One run of a new process; whether it came to its end."""
    settings = Settings(deployment="http://host", on_drop=OnDrop.DROP)
    return ran(source, make(folder, notice), settings, notice)


def assert_true(world: ExportWorld, folder: Path) -> int | None:
    """What readers of the folder's destinations find is true; the timestamp that it is of."""
    published = None
    if (folder / "rows.duckdb").exists():
        destination = DuckDBFile(folder / "rows.duckdb")
        progress = destination.load()
        destination.close()
        if progress is not None and progress.snapshot_ts is not None:
            progress.check()
            published = progress.snapshot_ts
            assert_same(held(destination.path, progress), expected(world, published))
    found = held_in_parquet(folder / "parquet")
    if found is not None:
        published, state = found
        assert_same(state, expected(world, published))
    if (folder / "work").exists():
        rows = DuckDBFile(folder / "work" / "rows.duckdb")
        progress = rows.load()
        rows.close()
        found = held_in_delta(folder / "delta", progress)
        if found is not None:
            published, state = found
            assert_same(state, expected(world, published))
    return published


DESTINATIONS = [a_duckdb_file, a_parquet_folder, a_delta_folder]


@pytest.mark.parametrize("make", DESTINATIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_snapshot_is_the_hosts(
    world: ExportWorld, tmp_path: Path, seed: int, make: Make
) -> None:
    rng = random.Random(seed)
    source = HostSource(world, PageLimits(entries=rng.choice([2, 7, 20])))
    for _ in range(6):
        for _ in range(rng.randrange(1, 8)):
            live(world, rng)
        assert run(source, make, tmp_path)
        published = assert_true(world, tmp_path)
        assert published is not None
        assert_same(expected(world, published), expected(world, max(world.history)))
    source.close()


@pytest.mark.parametrize("make", DESTINATIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_every_step(world: ExportWorld, tmp_path: Path, seed: int, make: Make) -> None:
    rng = random.Random(seed)
    source = HostSource(world, PageLimits(entries=12))
    for _ in range(8):
        live(world, rng)
    steps = 1
    while not run(source, make, tmp_path, Fuse(steps)):
        assert_true(world, tmp_path)
        steps += 1
        if rng.random() < 0.3:
            live(world, rng)
    assert_true(world, tmp_path)
    assert steps > 10
    source.close()

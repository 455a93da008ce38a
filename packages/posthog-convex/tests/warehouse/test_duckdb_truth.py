"""A DuckDB file is the deployment at its published timestamp, wherever the sync dies."""

from __future__ import annotations

import json
import random
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from fake_convex import FakeConvex, State
from warehouse_worlds import (
    Fuse,
    assert_same,
    assert_true,
    held_in_delta,
    held_in_parquet,
    ran,
    work,
)

from posthog_convex.warehouse.destinations import duckdb_file
from posthog_convex.warehouse.destinations.delta_folder import DeltaFolder
from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.parquet_folder import ParquetFolder
from posthog_convex.warehouse.destinations.published import Published
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.pager import Api
from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.source.steps import Request
from posthog_convex.warehouse.sync.driver import Settings


def run(
    fake: FakeConvex, path: Path, notice: Notice = lambda step: None, api: Api = Api.AUTO
) -> bool:
    """One run of a new process; whether it came to its end."""
    settings = Settings(deployment="https://fake.convex.cloud", api=api)
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


def test_large_documents_get_the_memory_that_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "MEMORY_MIB", 8)
    fake = FakeConvex(page_rows=40)
    documents = [{"text": chr(65 + number) * 900_000} for number in range(40)]
    fake.commit(*((("", "large"), None, document) for document in documents))
    path = tmp_path / "warehouse.duckdb"
    with monkeypatch.context() as stingy:
        stingy.setattr(duckdb_file, "MOST_MEMORY_MIB", 8)
        with pytest.raises(SyncRefused, match="needs more than 8 MiB"):
            run(fake, path)
    assert run(fake, path)
    progress = assert_true(fake, path)
    assert progress is not None
    assert progress.rows == 40


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_large_documents_are_published_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(duckdb_file, "MEMORY_MIB", 8)
    monkeypatch.setattr(duckdb_file, "_ROW_GROUP_MB", 4)
    fake = FakeConvex(page_rows=40)
    fake.ours = True
    ref, folder, work = ("", "large"), tmp_path / kind, tmp_path / "work"
    settings = Settings(deployment="https://fake.convex.cloud")

    def published() -> State:
        files = ParquetFolder(folder) if kind == "parquet" else DeltaFolder(str(folder))
        assert ran(fake, Published(files, work), settings)
        rows = DuckDBFile(work / "rows.duckdb")
        progress = rows.load()
        rows.close()
        found = held_in_parquet(folder) if kind == "parquet" else held_in_delta(folder, progress)
        assert found is not None
        return found[1]

    ids = fake.commit(*((ref, None, {"text": chr(65 + n) * 900_000}) for n in range(40)))
    assert_same(published(), fake.now())
    fake.commit(*((ref, id_, {"text": id_ * 60_000}) for id_ in ids[:30]), (ref, ids[-1], None))
    assert_same(published(), fake.now())
    assert not list(tmp_path.rglob("table.parquet")), "what was on its way is taken away"


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
    assert steps > 5, "no page was ever half done"


def test_a_commit_whose_checkpoint_lacks_memory_is_a_commit(tmp_path: Path) -> None:
    """DuckDB then says that it failed, and that the transaction is there."""
    fake, path, failures = FakeConvex(page_rows=2), tmp_path / "w.duckdb", iter([True])
    fake.commit(*((("", "users"), None, {"n": n}) for n in range(9)))

    def notice(step: str) -> None:
        if step == "after commit" and next(failures, False):
            raise duckdb.FatalException(
                "COMMIT succeeded, but the autocheckpoint failed: increase memory_limit"
            )

    assert ran(fake, DuckDBFile(path, notice=notice), Settings(deployment="https://x"))
    assert_true(fake, path)
    assert not next(failures, False)


class Counted:
    """A source that counts the revisions which it hands out."""

    def __init__(self, fake: FakeConvex) -> None:
        self._fake = fake
        self.handed_out = 0

    def ask(self, request: Request) -> Answer:
        answer = self._fake.ask(request)
        if request.path == "/api/v1/data/sync":
            self.handed_out += len(json.loads(answer.body)["values"])
        return answer

    def close(self) -> None:
        """Nothing is held."""


def test_a_crash_has_two_pages_read_again_at_most(tmp_path: Path) -> None:
    """The one that is being saved, and the one that is on its way meanwhile."""
    fake, path = FakeConvex(page_rows=5), tmp_path / "w.duckdb"
    fake.ours = True
    fake.commit(*((("", "users"), None, {"n": n}) for n in range(60)))
    settings, source, crashes, steps = Settings(deployment="https://x"), Counted(fake), 0, 1
    while not ran(source, DuckDBFile(path, notice=(fuse := Fuse(steps))), settings, fuse):
        crashes, steps = crashes + 1, steps + 1
        fake.commit((("", "users"), None, {"n": steps}))
    progress = assert_true(fake, path)
    assert progress is not None
    assert crashes > 10
    again = source.handed_out - progress.rows
    assert 0 < again <= crashes * 2 * fake.page_rows


def test_delta_tables_are_merged_where_that_is_light(tmp_path: Path) -> None:
    """Changes of little text are merged; much text, or large documents, have all rows written."""
    fake, ref, work = FakeConvex(page_rows=50), ("", "notes"), tmp_path / "work"
    fake.ours = True

    def operation() -> str:
        folder = DeltaFolder(str(tmp_path / "delta"))
        settings = Settings(deployment="https://fake.convex.cloud")
        assert ran(fake, Published(folder, work), settings)
        rows = DuckDBFile(work / "rows.duckdb")
        progress = rows.load()
        rows.close()
        found = held_in_delta(tmp_path / "delta", progress)
        assert found is not None
        assert_same(found[1], fake.now())
        return str(DeltaTable(str(tmp_path / "delta" / "notes")).history(1)[0]["operation"])

    ids = fake.commit(*((ref, None, {"text": "a", "raw": b"b"}) for _ in range(20)))
    assert operation() == "CREATE TABLE"
    fake.commit((ref, ids[0], {"text": "changed"}), (ref, ids[1], None))
    assert operation() == "MERGE"
    fake.commit((ref, ids[2], {"text": "long" * 10_000}))
    assert operation() == "WRITE"
    fake.commit((ref, ids[3], {"raw": b"long" * 10_000}))
    assert operation() == "WRITE"
    fake.commit((ref, ids[4], {"text": "changed", "number": 1}))
    assert operation() == "WRITE", "another column"
    fake.commit((ref, ids[5], {"text": "changed again"}))
    assert operation() == "MERGE"
    fake.commit(*((ref, id_, None) for id_ in ids if id_ != ids[1]))
    assert operation() == "MERGE"

"""Older backends: the legacy export gives the same tables as the new one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fake_convex import FakeConvex, Ref
from test_duckdb_truth import run
from warehouse_worlds import assert_same, assert_true, held, random_document

from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.source.pager import Api

REFS: list[Ref] = [("", "users"), ("mail", "users")]


def edit(fake: FakeConvex, rng: random.Random) -> None:
    """What the legacy export tells of: it says nothing of imports."""
    changes = []
    for _ in range(rng.choice([1, 2, 9])):
        ref = rng.choice(REFS)
        ids = list(fake.tablets[ref].documents) if ref in fake.tablets else []
        id_ = rng.choice(ids) if ids and rng.random() < 0.5 else None
        gone = id_ is not None and rng.random() < 0.4
        changes.append((ref, id_, None if gone else random_document(rng)))
    fake.commit(*changes)


@pytest.mark.parametrize("has_export_format", [True, False])
def test_an_older_backend_gives_the_same(tmp_path: Path, has_export_format: bool) -> None:
    rng = random.Random(5)
    fake = FakeConvex(seed=5, page_rows=5)
    fake.has_export_format = has_export_format
    fake.table(("", "empty"))
    old, new = tmp_path / "old.duckdb", tmp_path / "new.duckdb"
    for round_ in range(4):
        for _ in range(5):
            edit(fake, rng)
        fake.has_data_sync = False
        assert run(fake, old)
        fake.has_data_sync = True
        assert run(fake, new)
        old_progress, new_progress = assert_true(fake, old), assert_true(fake, new)
        assert old_progress is not None
        assert new_progress is not None
        assert_same(held(old, old_progress), held(new, new_progress))
        if round_ == 1:  # also a dropped table is found, by its name
            fake.drop(("", "empty"))


def test_a_walk_that_expires_begins_anew(tmp_path: Path) -> None:
    fake = FakeConvex(page_rows=2)
    fake.has_data_sync = False
    fake.commit(*((("", "users"), None, {"n": n}) for n in range(9)))
    path = tmp_path / "w.duckdb"
    assert run(fake, path)
    fake.commit((("", "users"), None, {"n": 10}))
    fake.kept_from = fake.ts
    assert run(fake, path)
    progress = assert_true(fake, path)
    assert progress is not None
    assert progress.restarts == 1


def test_legacy_can_be_chosen(tmp_path: Path) -> None:
    fake = FakeConvex()
    fake.commit((("", "users"), None, {}))
    assert run(fake, tmp_path / "w.duckdb", api=Api.LEGACY)
    assert {request.path for request in fake.asked} == {
        "/api/list_snapshot", "/api/document_deltas", "/api/get_table_column_names"
    }  # fmt: skip
    DuckDBFile(tmp_path / "w.duckdb").close()

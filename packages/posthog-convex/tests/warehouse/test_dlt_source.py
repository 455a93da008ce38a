"""Through dlt into DuckDB: the same tables, whatever happens in between."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fake_convex import Document, FakeConvex, State
from warehouse_worlds import untagged, work

from posthog_convex.warehouse.documents.columns import Kind
from posthog_convex.warehouse.source.retry import Answer
from posthog_convex.warehouse.source.steps import Request

dlt = pytest.importorskip("dlt")
pytestmark = pytest.mark.filterwarnings("ignore")  # dlt and what it needs warn about each other


class Broken(Exception):
    """The process ends in the middle of an extract."""


class Breaking:
    """A source that fails at its n-th answer."""

    def __init__(self, fake: FakeConvex, answers: int) -> None:
        self._fake = fake
        self._left = answers

    def ask(self, request: Request) -> Answer:
        self._left -= 1
        if self._left < 0:
            raise Broken
        return self._fake.ask(request)

    def close(self) -> None:
        """Nothing is held."""


class Pipeline:
    """A pipeline into a DuckDB file, run like that of a new process each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "dlt.duckdb"

    def run(self, source: Any, **options: Any) -> Any:
        from posthog_convex.warehouse.dlt_source import convex_source, run_until_up_to_date

        pipeline = dlt.pipeline(
            "convex_test",
            pipelines_dir=str(self.folder / "pipelines"),
            destination=dlt.destinations.duckdb(str(self.file)),
            dataset_name="tables",
        )

        def make() -> Any:
            return convex_source("http://fake", "key", source=source, **options)

        return run_until_up_to_date(pipeline, make, loader_file_format="parquet")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file), read_only=True) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("SCHEMA__NAMING", "sql_cs_v1")
    with warnings.catch_warnings():
        yield


def state_of(pipeline: Pipeline, state: Any) -> State:
    """The documents in the dataset, put together from their columns."""
    found: State = {}
    for table in state.tables:
        with duckdb.connect(str(pipeline.file), read_only=True) as connection:
            rows = connection.sql(f'SELECT * FROM tables."{table.name}"').to_arrow_table()
        documents: dict[str, Document] = {}
        for row in rows.to_pylist():
            nulls = json.loads(row.get("_null_fields") or "[]")
            document = {"_id": row["_id"], "_creationTime": row["_creationTime_ms"]}
            for column in table.schema.columns:
                names = [column.name, *(f"{column.name}__v_{kind.value}" for kind in Kind)]
                values = {name: row.get(name) for name in names if row.get(name) is not None}
                if column.field in nulls:
                    document[column.field] = None
                for name, value in values.items():
                    first = table.kinds[column.field]
                    kind = Kind(name.rpartition("__v_")[2]) if "__v_" in name else first
                    document[column.field] = (
                        untagged(json.loads(value)) if kind is Kind.JSON else value
                    )
            documents[row["_id"]] = document
        found[table.ref.component, table.ref.table] = documents
    return found


def assert_close(found: State, expected: State) -> None:
    """The same documents; numbers by value, as columns may have turned int64 into float64."""
    assert found.keys() == expected.keys()
    for ref, documents in expected.items():
        assert repr_of(found[ref]) == repr_of(documents), ref


def repr_of(value: Any) -> Any:
    match value:
        case dict():
            return {name: repr_of(item) for name, item in sorted(value.items())}
        case list():
            return [repr_of(item) for item in value]
        case bool() | None | str() | bytes():
            return repr(value)
        case _:
            return repr(float(value)) if abs(value) <= 2**53 else repr(value)


@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 12))]
)
def test_the_dataset_is_the_deployment(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    fake = FakeConvex(seed=seed, page_rows=20)
    fake.ours = True
    pipeline = Pipeline(tmp_path)
    for _ in range(3):
        for _ in range(6):
            work(fake, rng)
        for answers in (rng.randrange(1, 6), 10_000):
            try:
                state = pipeline.run(Breaking(fake, answers))
            except Exception as error:
                if not isinstance(_root(error), Broken):
                    raise
        assert_close(
            {ref: rows for ref, rows in state_of(pipeline, state).items() if rows},
            {ref: rows for ref, rows in fake.now().items() if rows},
        )
        told = pipeline.rows('SELECT snapshot_ts, up_to_date FROM tables."_convex_sync"')
        assert told == [(fake.ts, True)]


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def test_a_log_keeps_every_revision(tmp_path: Path) -> None:
    fake = FakeConvex()
    users = ("", "users")
    [a] = fake.commit((users, None, {"n": 1}))
    pipeline = Pipeline(tmp_path)
    pipeline.run(fake, mode="append_log")
    fake.commit((users, a, {"n": 2}))
    fake.commit((users, a, None))
    pipeline.run(fake, mode="append_log")
    rows = pipeline.rows("SELECT n, _deleted FROM tables.users ORDER BY _ts")
    assert rows == [(1, False), (2, False), (None, True)]

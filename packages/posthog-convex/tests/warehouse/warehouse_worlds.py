"""What the tests of the sync share: random work, a run that may die at any step, and what a
destination holds.

Owns the comparison: rows become documents again, and must be the deployment's of one timestamp.
"""

from __future__ import annotations

import base64
import json
import math
import random
import struct
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from fake_convex import Document, FakeConvex, Ref, State

from posthog_convex.warehouse.destinations.delta_folder import INDEX
from posthog_convex.warehouse.destinations.destination import Destination, Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.manifest import FileColumn
from posthog_convex.warehouse.destinations.parquet_folder import read_manifest
from posthog_convex.warehouse.documents.columns import Column, Kind
from posthog_convex.warehouse.plan.progress import Progress
from posthog_convex.warehouse.source.deployment import Source
from posthog_convex.warehouse.source.pager import Clock
from posthog_convex.warehouse.sync.driver import PAGE_THREAD, Driver, Settings

EDGES: list[Any] = [
    0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63),
    0.0, -0.0, 1.0, 1.5, 1e300, 1e16, 5e-324, math.inf, -math.inf, math.nan,
    True, False, None, "", "x", "\0", "é\U0001f994", 'quote"\\', "NaN", "null", "1",
    b"", b"\0\xff", [], [1, 1.0, None], {}, {"a": {"b": [b"x", math.nan, -0.0, 2**60]}}, [[]],
]  # fmt: skip
REFS: list[Ref] = [
    ("", "users"),
    ("", "Users"),
    ("waitlist", "orders"),
    ("waitlist/deep", "orders"),
]
FIELDS = ["n", "N", "text", "mixed", "any"]
QUIET = Clock(
    now_ms=lambda: 1_700_000_000_000,
    monotonic=lambda: 0.0,
    pause=lambda s: None,
    dice=lambda: 0.5,
)


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


def ran(
    source: Source, destination: Destination, settings: Settings, notice: Notice = lambda step: None
) -> bool:
    """One run of a new process; whether it came to its end."""
    try:
        Driver(source, destination, settings, QUIET, notice=notice).run()
    except Killed:
        return False
    finally:
        destination.close()
        # A process that ends takes its requests along; here the next one would meet them.
        for thread in threading.enumerate():
            if thread.name == PAGE_THREAD:
                thread.join()
    return True


def random_document(rng: random.Random) -> Document:
    document: Document = {}
    for field in FIELDS:
        if rng.random() < 0.3:
            continue
        if field == "n":
            document[field] = rng.randrange(-100, 100)
        elif field == "text":
            document[field] = rng.choice(["a", "b", ""])
        elif field == "N":
            document[field] = rng.choice([1.5, 2.0, math.nan, -0.0, None])
        else:
            document[field] = rng.choice(EDGES)
    return document


def work(fake: FakeConvex, rng: random.Random) -> None:
    """One random thing happens to the deployment."""
    ref = rng.choice(REFS)
    dice = rng.random()
    if dice < 0.06:
        fake.drop(ref)
    elif dice < 0.12:
        fake.replace(ref, [random_document(rng) for _ in range(rng.randrange(6))])
    elif dice < 0.17:
        fake.table(ref)  # an empty one
        fake.commit()
    else:
        fake.commit(*(_change(fake, rng) for _ in range(rng.choice([1, 1, 2, 3, 12]))))


def _change(fake: FakeConvex, rng: random.Random) -> tuple[Ref, str | None, Document | None]:
    ref = rng.choice(REFS)
    ids = list(fake.tablets[ref].documents) if ref in fake.tablets else []
    if ids and rng.random() < 0.5:
        id_ = rng.choice(ids)
        return ref, id_, None if rng.random() < 0.4 else random_document(rng)
    return ref, None, random_document(rng)


def held(path: Path, progress: Progress) -> State:
    """The documents that a DuckDB file shows its readers, put together from their columns."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            (table.ref.component, table.ref.table): documents(
                connection.sql(f'SELECT * FROM "{table.name}"').to_arrow_table().to_pylist(),
                table.live.schema.columns,
            )
            for table in progress.tables
            if table.live is not None and not table.gone
        }


def held_in_parquet(folder: Path) -> tuple[int, State] | None:
    """The timestamp and the documents that a Parquet folder shows its readers."""
    manifest = read_manifest(folder / "current")
    if manifest is None:
        assert not (folder / "current").exists()
        return None
    state = {}
    for table in manifest.tables:
        rows = pq.read_table(folder / "current" / table.name / "data.parquet").to_pylist()
        assert len(rows) == table.rows
        if "__dropped_" not in table.name:
            state[table.component, table.table] = documents(rows, table.columns)
    found = {path.parent.name for path in folder.glob("current/*/*.parquet")}
    assert found == {table.name for table in manifest.tables}
    return manifest.snapshot_ts, state


def held_in_delta(folder: Path, kinds: Progress | None) -> tuple[int, State] | None:
    """The timestamp and the documents of the Delta tables' versions that belong together.

    Delta tables do not say which text is JSON: the sync's own state tells, where it is as new.
    """
    if kinds is None or not DeltaTable.is_deltatable(str(folder / INDEX)):
        return None
    index = DeltaTable(str(folder / INDEX)).to_pyarrow_table().to_pylist()
    columns = {t.name: t.live.schema.columns for t in kinds.published() if t.live is not None}
    state = {}
    for entry in index:
        delta = DeltaTable(str(folder / entry["name"]), version=entry["version"])
        table = delta.to_pyarrow_table()
        known = columns.get(entry["name"])
        if known is None or {c.name for c in known} - set(table.column_names):
            return None
        if any(table.schema.field(c.name).type != _ARROW[c.kind] for c in known):
            return None
        state[entry["component"], entry["table"]] = documents(table.to_pylist(), known)
    return (index[0]["snapshot_ts"], state) if index else None


_ARROW = {
    Kind.VOID: pa.string(), Kind.BOOL: pa.bool_(), Kind.INT: pa.int64(), Kind.FLOAT: pa.float64(),
    Kind.TEXT: pa.string(), Kind.BYTES: pa.binary(), Kind.JSON: pa.string(),
}  # fmt: skip


def documents(
    rows: Iterable[dict[str, Any]], columns: Sequence[Column | FileColumn]
) -> dict[str, Document]:
    """Rows as documents again, by id."""
    found: dict[str, Document] = {}
    for row in rows:
        nulls = json.loads(row.get("_null_fields") or "[]")
        document: Document = {"_id": row["_id"], "_creationTime": row["_creationTime_ms"]}
        for column in columns:
            value = row[column.name]
            if value is None:
                if column.field in nulls:
                    document[column.field] = None
            elif column.kind is Kind.JSON:
                document[column.field] = untagged(json.loads(value))
            else:
                document[column.field] = value
        assert row["_id"] not in found, "a document twice"
        found[row["_id"]] = document
    return found


def untagged(value: Any) -> Any:
    match value:
        case {"$bytes": text}:
            return base64.b64decode(text)
        case {"$float": text}:
            return struct.unpack("<d", base64.b64decode(text))[0]
        case dict():
            return {name: untagged(item) for name, item in value.items()}
        case list():
            return [untagged(item) for item in value]
        case _:
            return value


def _exact(value: Any) -> Any:
    match value:
        case float():
            return "nan" if math.isnan(value) else struct.pack("<d", value)
        case dict():
            return {name: _exact(item) for name, item in value.items()}
        case list():
            return [_exact(item) for item in value]
        case _:
            return (type(value).__name__, value)


def assert_true(fake: FakeConvex, path: Path) -> Progress | None:
    """The file shows the deployment as it was at the timestamp that the file says."""
    destination = DuckDBFile(path)
    progress = destination.load()
    destination.close()
    if progress is None:  # died before anything was kept
        return None
    progress.check()
    if progress.snapshot_ts is None:
        assert held(path, progress) == {}
        return progress
    then = max(ts for ts in fake.history if ts <= progress.snapshot_ts)
    assert_same(held(path, progress), fake.history[then])
    return progress


def assert_same(found: State, expected: State) -> None:
    """Every bit of every value, but for one rule: where a column had int64 and float64 values, an
    int64 of up to 53 bits is the float of the same value."""
    assert found.keys() == expected.keys(), "tables"
    for ref in expected:
        assert found[ref].keys() == expected[ref].keys(), ref
        for id_, document in expected[ref].items():
            assert found[ref][id_].keys() == document.keys(), (ref, id_)
            for field, value in document.items():
                was = found[ref][id_][field]
                if type(value) is int and type(was) is float and abs(value) <= 2**53:
                    value = float(value)
                assert _exact(was) == _exact(value), (ref, id_, field, was, value)

"""A folder of Delta tables as the destination, on a disk or in an S3-compatible bucket.

Owns what is committed to each Delta table and when. Invariant: a version of a Delta table is the
table at one snapshot, and `_convex_sync` says which versions belong together.

A crash leaves some tables a snapshot ahead of `_convex_sync`; the next run finishes. Doing a commit
again changes nothing: what is to be done is found by comparing the Delta table with the rows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from posthog_convex.warehouse.destinations import rows_sql
from posthog_convex.warehouse.destinations.bucket import Bucket, reason_of
from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.faults import not_published
from posthog_convex.warehouse.documents.columns import Kind
from posthog_convex.warehouse.plan.progress import Mode, Progress, Table

if TYPE_CHECKING:
    import pyarrow
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

#: Which versions make a snapshot. No table of Convex has a name like this.
INDEX = "_convex_sync"
#: How large files are: a later merge writes those anew that it changes.
_PART_MB = 128
#: Changes of more bytes, or of documents of more bytes each, are not merged, which takes many times
#: of that in memory: all rows are written anew.
MOST_MERGED_BYTES = 32 * 1024 * 1024
MOST_ROW_BYTES = 32 * 1024

_DELTA_TYPES = {
    Kind.VOID: "string",
    Kind.BOOL: "boolean",
    Kind.INT: "long",
    Kind.FLOAT: "double",
    Kind.TEXT: "string",
    Kind.BYTES: "binary",
    Kind.JSON: "string",
}


class IndexEntry(msgspec.Struct, frozen=True):
    """A table, and which version of its Delta table belongs to the snapshot."""

    name: str
    component: str
    table: str
    version: int


class Index(msgspec.Struct, frozen=True):
    """A snapshot: its timestamp, and the versions that make it."""

    snapshot_ts: int
    tables: tuple[IndexEntry, ...]


class DeltaFolder:
    """The publication `delta`. Credentials of a bucket come from the environment, as AWS_…"""

    def __init__(self, uri: str, *, notice: Notice = lambda step: None) -> None:
        self._uri = uri.rstrip("/")
        self._notice = notice

    def counts(self, rows: DuckDBFile) -> dict[str, int]:
        return rows.counts()

    def publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        from deltalake.exceptions import DeltaError

        try:
            index = self._index()
            tables = progress.published()
            entries = [self._bring(rows, table, progress) for table in tables]
            for name in {entry.name for entry in index.tables} - {table.name for table in tables}:
                self._empty(name)
            if entries != list(index.tables):
                self._write_index(Index(ts, tuple(entries)))
        except (DeltaError, OSError) as error:
            raise not_published(
                f"The Delta folder {self._uri}",
                reason_of(error),
                "Each table holds its last published version, and what was read is kept",
            ) from None

    def _bring(self, rows: DuckDBFile, table: Table, progress: Progress) -> IndexEntry:
        """Bring one Delta table to what readers see of the rows; the version that it then has."""
        assert table.live is not None
        assert table.changed_ts is not None
        delta = self._open(table.name)
        app = _app(table)
        since = None if delta is None else delta.transaction_version(app)
        if delta is None or since != table.changed_ts:
            commit = _commit(app, table.changed_ts)
            if (
                delta is None
                or since is None
                or _types(delta) != _wanted(table, progress.mode)
                or self._is_heavy(rows, table, since)
            ):
                self._overwrite(rows, delta, table, progress.mode, commit)
            else:
                self._merge(rows, delta, table, progress.mode, since, commit)
            self._notice("table")
            delta = self._open(table.name)
            assert delta is not None
        return IndexEntry(table.name, table.ref.component, table.ref.table, delta.version())

    def _is_heavy(self, rows: DuckDBFile, table: Table, since: int) -> bool:
        """Whether changes, or the documents that they are among, are more than fits into memory."""
        weighing = rows_sql.weight_of_changes(table, since)
        found = rows.affordably(lambda: rows.connection().execute(weighing).fetchall())
        weight, count = map(int, found[0])
        return weight > MOST_MERGED_BYTES or weight > count * MOST_ROW_BYTES

    def _overwrite(
        self,
        rows: DuckDBFile,
        delta: DeltaTable | None,
        table: Table,
        mode: Mode,
        commit: CommitProperties,
    ) -> None:
        """All rows, in files that DuckDB writes: that is within its limit of memory."""
        parts = rows.path.with_name("parts")
        rows.copy(table, parts, part_mb=_PART_MB)
        try:
            self._add(delta, table, mode, sorted(parts.iterdir()), commit)
        finally:
            shutil.rmtree(parts, ignore_errors=True)

    def _add(
        self,
        delta: DeltaTable | None,
        table: Table,
        mode: Mode,
        parts: Sequence[Path],
        commit: CommitProperties,
    ) -> None:
        from deltalake import Schema
        from deltalake.transaction import create_table_with_add_actions

        at = self._at(table.name)
        added = [_put(at, part) for part in parts]
        fields = [
            {"name": name, "type": kind, "nullable": True, "metadata": {}}
            for name, kind in _wanted(table, mode).items()
        ]
        described = msgspec.json.encode({"type": "struct", "fields": fields}).decode()
        schema = Schema.from_json(described)
        if delta is None:
            create_table_with_add_actions(at, schema, added, commit_properties=commit)
        else:
            delta.create_write_transaction([*added], "overwrite", schema, commit_properties=commit)

    def _merge(
        self,
        rows: DuckDBFile,
        delta: DeltaTable,
        table: Table,
        mode: Mode,
        since: int,
        commit: CommitProperties,
    ) -> None:
        """What changed since a snapshot, and the ids of what is gone, as one commit."""
        held = delta.to_pyarrow_table(columns=["_id"])

        def found() -> pyarrow.Table:
            connection = rows.connection()
            connection.register(rows_sql.BATCH, held)
            try:
                return connection.sql(rows_sql.changed_and_gone(table, since)).to_arrow_table()
            finally:
                connection.unregister(rows_sql.BATCH)

        source = rows.affordably(found)
        columns = {f'"{name}"': f's."{name}"' for name in _wanted(table, mode)}
        same = "t._id = s._id" + (" AND t._ts = s._ts" if mode is Mode.HISTORY else "")
        merger = delta.merge(
            source, same, source_alias="s", target_alias="t", commit_properties=commit
        )
        merger.when_matched_delete("s._gone").when_matched_update(
            columns, "NOT s._gone"
        ).when_not_matched_insert(columns, "NOT s._gone").execute()

    def _empty(self, name: str) -> None:
        """A table that is gone: its history stays in the older versions."""
        delta = self._open(name)
        if delta is not None:
            delta.delete()

    def _index(self) -> Index:
        delta = self._open(INDEX)
        if delta is None:
            return Index(0, ())
        rows = delta.to_pyarrow_table().to_pylist()
        entries = [
            IndexEntry(row["name"], row["component"], row["table"], row["version"])
            for row in sorted(rows, key=lambda row: int(row["position"]))
        ]
        return Index(rows[0]["snapshot_ts"] if rows else 0, tuple(entries))

    def _write_index(self, index: Index) -> None:
        import pyarrow as pa
        from deltalake import write_deltalake

        entries = index.tables
        columns = {
            "position": pa.array(range(len(entries)), pa.int64()),
            "name": pa.array([entry.name for entry in entries], pa.string()),
            "component": pa.array([entry.component for entry in entries], pa.string()),
            "table": pa.array([entry.table for entry in entries], pa.string()),
            "version": pa.array([entry.version for entry in entries], pa.int64()),
            "snapshot_ts": pa.array([index.snapshot_ts] * len(entries), pa.int64()),
        }
        write_deltalake(self._at(INDEX), pa.table(columns), mode="overwrite")
        self._notice("index")

    def _open(self, name: str) -> DeltaTable | None:
        from deltalake import DeltaTable

        at = self._at(name)
        return DeltaTable(at) if DeltaTable.is_deltatable(at) else None

    def _at(self, name: str) -> str:
        return f"{self._uri}/{name}"


def _put(at: str, part: Path) -> AddAction:
    """Put a file where a table is, under a name that none has; nobody reads it before a commit."""
    import pyarrow.parquet as pq
    from deltalake.transaction import AddAction

    name, about = f"{uuid.uuid4()}.parquet", part.stat()
    with pq.ParquetFile(part) as file:
        count = file.metadata.num_rows
    if at.startswith("s3://"):
        Bucket(at).put(name, part)
    else:
        _copy(part, Path(at) / name)
    stats = msgspec.json.encode({"numRecords": count}).decode()
    return AddAction(name, about.st_size, {}, int(about.st_mtime * 1000), True, stats)


def _copy(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(part, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())  # what is committed must outlive a power cut
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _app(table: Table) -> str:
    """Whose rows these are and which columns are JSON; Delta has one type for that and for text."""
    assert table.live is not None
    json = sorted(c.name for c in table.live.schema.columns if c.kind is Kind.JSON)
    digest = hashlib.blake2b("\0".join(json).encode(), digest_size=8).hexdigest()
    return f"posthog-convex/{table.live.number}/{digest}"


def _commit(app: str, version: int) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    return CommitProperties(app_transactions=[Transaction(app, version)])


def _types(delta: DeltaTable) -> dict[str, str]:
    return {field.name: str(field.type.type) for field in delta.schema().fields}


def _wanted(table: Table, mode: Mode) -> dict[str, str]:
    """The names and Delta types of what readers see of a table."""
    assert table.live is not None
    wanted = {"_id": "string", "_creationTime": "timestamp", "_creationTime_ms": "double"}
    wanted["_ts"] = "long"
    if mode is Mode.HISTORY:
        wanted["_valid_to"] = "long"
    if mode is not Mode.HARD:
        wanted["_deleted"] = "boolean"
    wanted |= {column.name: _DELTA_TYPES[column.kind] for column in table.live.schema.columns}
    if table.live.schema.has_nulls:
        wanted["_null_fields"] = "string"
    return wanted

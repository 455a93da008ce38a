"""A DuckDB file as the destination: rows, truncates and position in one transaction.

Owns the connection and its transactions. Never decides what is done: plans come from `plan`.
Invariant: the file is the deployment's tables as of one published snapshot, at every moment, also
after a crash at any.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from posthog_convex.warehouse.destinations import rows_sql
from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.faults import refusal_of
from posthog_convex.warehouse.plan import progress as records
from posthog_convex.warehouse.plan.actions import Append, Plan
from posthog_convex.warehouse.plan.progress import Progress, Table
from posthog_convex.warehouse.refusal import SyncRefused

if TYPE_CHECKING:
    import duckdb

_SET_UP = f"""
BEGIN;
CREATE SCHEMA IF NOT EXISTS {rows_sql.HOME};
CREATE TABLE IF NOT EXISTS {rows_sql.HOME}.progress (record VARCHAR);
CREATE OR REPLACE VIEW _convex_sync AS SELECT
    record->>'$.deployment' AS deployment,
    (record->>'$.snapshot_ts')::BIGINT AS snapshot_ts,
    make_timestamp((record->>'$.snapshot_ts')::BIGINT // 1000) AS snapshot_time,
    (record->>'$.pages')::BIGINT AS pages,
    (record->>'$.rows')::BIGINT AS rows,
    (record->>'$.restarts')::BIGINT AS restarts
FROM {rows_sql.HOME}.progress;
COMMIT;
"""
#: How much memory DuckDB may use, in MiB: enough for pages of small documents, whatever the table
#: holds; beyond it, it works on disk. What a transaction writes has to fit, so for large documents
#: it is doubled, up to the most.
MEMORY_MIB = 128
MOST_MEMORY_MIB = 16 * 1024
#: How long a reader that has the file open is waited for, in seconds.
PATIENCE_S = 10.0
#: Each needs memory of its own, and most of the work is one page.
_THREADS = min(4, os.cpu_count() or 1)

Done = TypeVar("Done")
#: A group of rows is held in memory until it is written; by rows alone it would have 122,880,
#: which is a gigabyte where documents have ten kilobytes.
_ROW_GROUP_MB = 64
#: What a Parquet file says of itself: the snapshot, in nanoseconds, that changed it last.
CHANGED_TS = "convex_changed_ts"


class DuckDBFile:
    """The destination `duckdb`: a file with a view for each table, and the view `_convex_sync`."""

    def __init__(
        self, path: Path, *, notice: Notice = lambda step: None, read_only: bool = False
    ) -> None:
        self.path = path
        self._notice = notice
        #: To look alone: then other readers may have it open meanwhile.
        self._read_only = read_only
        self._connection: duckdb.DuckDBPyConnection | None = None
        #: What DuckDB may use, in MiB. Only grows.
        self._memory_mib = MEMORY_MIB
        #: The record that plans build on. None before the first.
        self._record: str | None = None

    def load(self) -> Progress | None:
        if not self.path.exists():
            return None
        connection = self.connection()
        if self._read_only and not _is_set_up(connection):
            return None
        self._record = self._stored(connection)
        return None if self._record is None else records.load(self._record)

    def apply(self, plan: Plan) -> None:
        self._record = self.affordably(lambda: self._committed(plan))

    def rest(self) -> None:
        self.close()

    def counts(self) -> dict[str, int]:
        progress = self.load()
        tables = () if progress is None else progress.published()
        found = {}
        for table in tables:
            query = f"SELECT count(*) FROM {rows_sql.quoted(table.name)}"
            found[table.name] = int(self.connection().execute(query).fetchall()[0][0])
        return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open file. It is locked against other processes until `rest`."""
        if self._connection is None:
            self._connection = opened(self.path, self._memory_mib, read_only=self._read_only)
        return self._connection

    def copy(self, table: Table, target: Path, *, part_mb: int | None = None) -> int:
        """Write what readers see of a table to a Parquet file; its rows. JSON becomes text.

        The file's own metadata say which snapshot changed the table last, as a manifest does. With
        `part_mb` the target is a folder that is not there yet, and gets files of about that size.
        """
        query = rows_sql.as_text(table)
        options = (
            f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES '{_ROW_GROUP_MB}MB',"
            f" KV_METADATA {{{CHANGED_TS}: '{table.changed_ts}'}}"
        )
        if part_mb is not None:
            options += f", FILE_SIZE_BYTES '{part_mb}MB', OVERWRITE"
        name = str(target).replace("'", "''")
        copying = f"COPY ({query}) TO '{name}' ({options})"
        found = self.affordably(lambda: self.connection().execute(copying).fetchone(), target)
        return 0 if found is None else int(found[0])

    def affordably(self, work: Callable[[], Done], written: Path | None = None) -> Done:
        """Do all of something or nothing; again with more memory where DuckDB needs it.

        Raises SyncRefused for what else DuckDB says; `written` is the file that it is about.
        """
        import duckdb

        while True:
            try:
                return work()
            except duckdb.Error as error:
                self.close()
                if "memory_limit" not in str(error):
                    raise refusal_of(written or self.path, error) from None
                if self._memory_mib >= MOST_MEMORY_MIB:
                    raise SyncRefused(
                        "out_of_memory",
                        f"DuckDB needs more than {self._memory_mib} MiB of memory for one step",
                        "Leave out the table with the largest documents, and report this.",
                    ) from None
            self._memory_mib *= 2

    def _committed(self, plan: Plan) -> str:
        connection, record = self.connection(), records.write(plan.progress)
        stored = self._stored(connection)
        if stored == record:
            # DuckDB may fail at writing its log back, after the commit: then all of it is there.
            return record
        if stored != self._record:
            raise SyncRefused(
                "destination_taken",
                f"Another sync has written to {self.path} since this one looked",
                "Let one process at a time write a destination; end the other, then run it again.",
                kept="What the other one wrote stands",
            )
        connection.execute("BEGIN")
        try:
            self._run(connection, plan, record)
            self._notice("before commit")
            connection.execute("COMMIT")
            self._notice("after commit")
        except BaseException:
            with contextlib.suppress(Exception):
                connection.execute("ROLLBACK")
            raise
        return record

    def _run(self, connection: duckdb.DuckDBPyConnection, plan: Plan, record: str) -> None:
        for action in plan.actions:
            if isinstance(action, Append):
                connection.register(rows_sql.BATCH, action.batch)
            for statement in rows_sql.statements(action, plan.progress.mode):
                connection.execute(statement)
            if isinstance(action, Append):
                connection.unregister(rows_sql.BATCH)
            self._notice(type(action).__name__)
        connection.execute(f"DELETE FROM {rows_sql.HOME}.progress")
        connection.execute(f"INSERT INTO {rows_sql.HOME}.progress VALUES (?)", [record])

    def _stored(self, connection: duckdb.DuckDBPyConnection) -> str | None:
        found = connection.execute(f"SELECT record FROM {rows_sql.HOME}.progress").fetchall()
        return str(found[0][0]) if found else None


def opened(path: Path, memory_mib: int, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """The file, made if it is not there. Raises SyncRefused where it cannot be used.

    A reader that has it open is waited for: DuckDB lets nobody write beside readers.
    """
    import duckdb

    patient_until = time.monotonic() + PATIENCE_S
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(
                str(path),
                read_only=read_only,
                config={
                    "memory_limit": f"{memory_mib}MiB",
                    "threads": _THREADS,
                    # Tables have no order, and keeping one takes memory.
                    "preserve_insertion_order": False,
                },
            )
            connection.execute("SET TimeZone = 'UTC'")
            if not read_only and not _is_set_up(connection):
                connection.execute(_SET_UP)
        except (duckdb.Error, OSError) as error:
            refusal = refusal_of(path, error)
            if refusal.code == "destination_busy" and time.monotonic() < patient_until:
                time.sleep(0.1)
                continue
            raise refusal from None
        return connection


def _is_set_up(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether there is nothing to write before a first plan: a full disk can still be read."""
    looking = (
        "SELECT count(*) FROM duckdb_tables()"
        f" WHERE schema_name = '{rows_sql.HOME}' AND table_name = 'progress'"
    )
    return bool(connection.execute(looking).fetchall()[0][0])

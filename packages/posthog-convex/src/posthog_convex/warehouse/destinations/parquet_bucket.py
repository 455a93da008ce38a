"""Parquet files in an S3-compatible bucket as the destination: an object a table, then a manifest.

Owns what is put into the bucket and in which order. Invariant: an object that a reader finds is the
table at one snapshot, whole, and the manifest names objects that are there.

A bucket cannot exchange several objects at once, so while a publication is on its way some tables
are a snapshot ahead of the manifest. A crash leaves them so; the next run finishes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from posthog_convex.warehouse.destinations.bucket import Bucket, reason_of
from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.faults import not_published
from posthog_convex.warehouse.destinations.manifest import (
    LAYOUT,
    Manifest,
    TableFile,
    described,
    read,
)
from posthog_convex.warehouse.plan.progress import Progress, Table

_MANIFEST = "manifest.json"
_FILE = "data.parquet"


class ParquetBucket:
    """The publication `parquet` at an s3:// address: what a folder has in `current/`."""

    def __init__(self, uri: str, work: Path, *, notice: Notice = lambda step: None) -> None:
        self._bucket = Bucket(f"{uri.rstrip('/')}/current")
        self._work = work
        self._notice = notice

    def publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        try:
            self._publish(rows, progress, ts)
        except OSError as error:
            raise not_published(
                f"The bucket at {self._bucket.uri}",
                reason_of(error),
                "Each table holds what was last published, and what was read is kept",
            ) from None

    def counts(self, rows: DuckDBFile) -> dict[str, int]:
        manifest = self._remembered()
        return {} if manifest is None else manifest.counts()

    def _publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        before = self._standing()
        wanted = progress.published()
        if before is not None and before.holds(wanted):
            return
        known = {} if before is None else before.by_name()
        tables = tuple(self._bring(rows, table, known.get(table.name)) for table in wanted)
        told = self._work / "manifest.next"
        told.write_bytes(msgspec.json.encode(Manifest(LAYOUT, ts, tables)))
        self._bucket.put(_MANIFEST, told)
        self._notice("manifest")
        self._sweep({table.name for table in wanted})
        told.replace(self._work / _MANIFEST)
        self._notice("published")

    def _standing(self) -> Manifest | None:
        """What is in the bucket, if it is what these rows were last published as.

        Otherwise the rows of a table could be others under the same numbers: after the local
        state was lost, or another sync wrote here.
        """
        remembered = self._remembered()
        there = None if remembered is None else self._bucket.get(_MANIFEST)
        return remembered if there == msgspec.json.encode(remembered) else None

    def _remembered(self) -> Manifest | None:
        with contextlib.suppress(FileNotFoundError):
            return read((self._work / _MANIFEST).read_bytes())
        return None

    def _bring(self, rows: DuckDBFile, table: Table, known: TableFile | None) -> TableFile:
        if known is not None and known.holds(table):
            return known
        file = self._work / _FILE
        count = rows.copy(table, file)
        self._bucket.put(f"{table.name}/{_FILE}", file)
        file.unlink()
        self._notice("table")
        return described(table, count)

    def _sweep(self, wanted: set[str]) -> None:
        """Take away the files of tables that are gone, whenever that was."""
        for name in self._bucket.names():
            table, _, file = name.rpartition("/")
            if file == _FILE and table not in wanted:
                self._bucket.delete(name)

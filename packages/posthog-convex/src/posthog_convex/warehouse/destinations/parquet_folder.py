"""A folder of Parquet files as the destination: a file a table, all of one snapshot.

Owns the snapshots in the folder and the moment when one takes the place of another. Invariant:
`current` always leads to a whole snapshot, and nothing in a published snapshot ever changes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.faults import not_published, said_by
from posthog_convex.warehouse.destinations.manifest import (
    LAYOUT,
    Manifest,
    TableFile,
    described,
    read,
)
from posthog_convex.warehouse.plan.progress import Progress, Table

#: Snapshots before the current one that stay, for readers that are still at them.
KEPT_SNAPSHOTS = 2
_HALF = ".half"


class ParquetFolder:
    """The publication `parquet`. The guide has the layout: docs/posthog/warehouse.md."""

    def __init__(self, folder: Path, *, notice: Notice = lambda step: None) -> None:
        self._folder = folder
        self._notice = notice

    def publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        try:
            self._publish(rows, progress, ts)
        except OSError as error:
            raise not_published(
                f"The Parquet folder {self._folder}",
                said_by(error),
                "The last published snapshot stands, and what was read since is kept",
            ) from None

    def counts(self, rows: DuckDBFile) -> dict[str, int]:
        manifest = self.manifest()
        return {} if manifest is None else manifest.counts()

    def manifest(self) -> Manifest | None:
        """What readers find now; None before the first snapshot."""
        return read_manifest(self._folder / "current")

    def _publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        before = self.manifest()
        known = {} if before is None else before.by_name()
        wanted = progress.published()
        if before is not None and before.holds(wanted):
            return
        number = 1 + max(self._numbers(), default=0)
        half = self._snapshots / f"{number:08d}{_HALF}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        tables = tuple(self._write(rows, half, table, known.get(table.name)) for table in wanted)
        manifest = Manifest(LAYOUT, ts, tables)
        _write_whole(half / "manifest.json", msgspec.json.encode(manifest))
        half.rename(self._snapshots / f"{number:08d}")
        self._notice("snapshot written")
        self._switch(number)
        self._notice("snapshot current")
        self._sweep(number)

    def _write(
        self, rows: DuckDBFile, half: Path, table: Table, known: TableFile | None
    ) -> TableFile:
        folder = half / table.name
        folder.mkdir()
        target = folder / "data.parquet"
        if known is not None and known.holds(table):
            with contextlib.suppress(OSError):  # another file system: written again
                os.link(self._folder / "current" / table.name / "data.parquet", target)
                return known
        count = rows.copy(table, target)
        _keep(target)
        self._notice("file")
        return described(table, count)

    def _switch(self, number: int) -> None:
        link = self._folder / "current.next"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("snapshots") / f"{number:08d}", target_is_directory=True)
        link.replace(self._folder / "current")

    def _sweep(self, current: int) -> None:
        for entry in list(self._snapshots.iterdir()):
            number = int(entry.name.removesuffix(_HALF))
            if number < current - KEPT_SNAPSHOTS or entry.name.endswith(_HALF):
                shutil.rmtree(entry, ignore_errors=True)

    @property
    def _snapshots(self) -> Path:
        return self._folder / "snapshots"

    def _numbers(self) -> Iterator[int]:
        if self._snapshots.is_dir():
            for entry in self._snapshots.iterdir():
                yield int(entry.name.removesuffix(_HALF))


def read_manifest(snapshot: Path) -> Manifest | None:
    """The manifest in a snapshot's folder; None where there is no snapshot."""
    try:
        return read((snapshot / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None


def _write_whole(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _keep(path)


def _keep(path: Path) -> None:
    """Through to the disk: what is published must outlive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())

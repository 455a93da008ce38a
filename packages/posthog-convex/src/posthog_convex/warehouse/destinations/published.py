"""Rows in a DuckDB file, and files for readers that are written from it at each snapshot.

Owns the order: rows are saved first, with all that the DuckDB file promises, and published when
nothing comes for a while. Never writes a file of the readers' itself. Invariant: what is published
is a snapshot that the rows hold, and one that could not be published is so by the next run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from posthog_convex.warehouse.destinations.destination import Notice
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.plan.actions import Plan
from posthog_convex.warehouse.plan.progress import Progress, Table

#: The DuckDB file in the folder of the sync's own state.
ROWS = "rows.duckdb"


class Publication(Protocol):
    """Where readers look, and how it comes to hold a snapshot."""

    def publish(self, rows: DuckDBFile, progress: Progress, ts: int) -> None:
        """Bring everything to the snapshot of `ts`, which the rows hold; nothing where it is there.

        Raises SyncRefused where that cannot be; done again, it goes on.
        """

    def counts(self, rows: DuckDBFile) -> dict[str, int]:
        """How many rows readers find in each table."""


class Published:
    """A destination of a publication. `work`: a local folder for the sync's own state."""

    def __init__(
        self,
        publication: Publication,
        work: Path,
        *,
        notice: Notice = lambda step: None,
        read_only: bool = False,
    ) -> None:
        self._publication = publication
        self._rows = DuckDBFile(work / ROWS, notice=notice, read_only=read_only)
        self._progress: Progress | None = None
        #: What this process published last. A timestamp would not do: tables that are read again
        #: with other columns may be of the very snapshot that they were of before.
        self._published: tuple[Table, ...] | None = None

    def load(self) -> Progress | None:
        self._progress = self._rows.load()
        return self._progress

    def apply(self, plan: Plan) -> None:
        self._rows.apply(plan)
        self._progress = plan.progress

    def rest(self) -> None:
        progress = self._progress
        ts = None if progress is None else progress.snapshot_ts
        try:
            if progress is not None and ts is not None and progress.published() != self._published:
                self._publication.publish(self._rows, progress, ts)
                self._published = progress.published()
        finally:
            self._rows.rest()

    def counts(self) -> dict[str, int]:
        return self._publication.counts(self._rows)

    def close(self) -> None:
        self._rows.close()

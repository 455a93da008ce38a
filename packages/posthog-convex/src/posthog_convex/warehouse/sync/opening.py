"""A configuration becomes a sync that can run: source, destination and driver.

Owns the choice of the destination and the check of a deployment. The one place of this room that
reads clocks and dice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from posthog_convex.warehouse.destinations.delta_folder import DeltaFolder
from posthog_convex.warehouse.destinations.destination import Destination
from posthog_convex.warehouse.destinations.duckdb_file import DuckDBFile
from posthog_convex.warehouse.destinations.parquet_bucket import ParquetBucket
from posthog_convex.warehouse.destinations.parquet_folder import ParquetFolder
from posthog_convex.warehouse.destinations.published import Published
from posthog_convex.warehouse.plan.progress import Progress
from posthog_convex.warehouse.refusal import SyncRefused
from posthog_convex.warehouse.source.deployment import Deployment, HttpSource, Source
from posthog_convex.warehouse.source.pager import Clock, Pager
from posthog_convex.warehouse.source.steps import SyncPosition
from posthog_convex.warehouse.sync.config import BUCKET, Config, DeploymentPart, DestinationPart
from posthog_convex.warehouse.sync.driver import Driver, Settings
from posthog_convex.warehouse.sync.keys import key_of
from posthog_convex.warehouse.tables.ref import TableRef
from posthog_convex.warehouse.tables.selection import Selection

CLOCK = Clock(
    now_ms=lambda: time.time_ns() // 1_000_000,
    monotonic=time.monotonic,
    pause=time.sleep,
    dice=random.random,
)

#: Somebody waits for the answer, and asks again.
_CHECK_ATTEMPTS = 2


def deployment_of(part: DeploymentPart, environment: Mapping[str, str], folder: Path) -> Deployment:
    """The deployment with its key, for a configuration in this folder. Raises SyncRefused."""
    return Deployment(url=part.url, key=key_of(part, environment, folder), ca_file=part.ca_file)


def destination_of(part: DestinationPart, *, read_only: bool = False) -> Destination:
    """The destination, not yet opened. Raises SyncRefused where what it needs is not installed.

    `read_only`: to look how it stands, which others may do at the same time.
    """
    needed = ("duckdb", "pyarrow", *(("deltalake",) if part.kind == "delta" else ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise SyncRefused(
            "extra_missing",
            f"For a destination of the kind {part.kind!r}, {', '.join(missing)} cannot be imported",
            "pip install 'posthog-convex[warehouse]', then run it again.",
        )
    if part.kind == "duckdb":
        return DuckDBFile(Path(part.path), read_only=read_only)
    if part.kind == "delta":
        work = Path(part.work or f"{part.path}/_work")
        return Published(DeltaFolder(part.path), work, read_only=read_only)
    work = Path(part.work or f"{part.path}/work")
    if part.path.startswith(BUCKET):
        return Published(ParquetBucket(part.path, work), work, read_only=read_only)
    return Published(ParquetFolder(Path(part.path)), work, read_only=read_only)


def driver_of(
    config: Config,
    source: Source,
    destination: Destination,
    *,
    max_pages: int | None = None,
    watching: Callable[[Progress], None] = lambda progress: None,
    retrying: Callable[[str, int], None] = lambda reason, times: None,
) -> Driver:
    """The sync that a configuration describes."""
    settings = Settings(
        deployment=config.deployment.url.rstrip("/"),
        selection=config.tables,
        mode=config.destination.mode,
        on_drop=config.destination.on_drop,
        api=config.deployment.api,
        max_pages=max_pages,
    )
    return Driver(source, destination, settings, CLOCK, watching=watching, retrying=retrying)


class Checked(msgspec.Struct, frozen=True):
    """What a deployment said when it was asked for a first page."""

    legacy: bool
    #: Whether it is this project's own host.
    ours: bool
    #: None: it does not tell.
    tables: tuple[TableRef, ...] | None


def checked(deployment: Deployment, selection: Selection, part: DeploymentPart) -> Checked:
    """Ask for a first page and throw it away. Raises SyncRefused with what is wrong."""
    source = HttpSource(deployment)
    try:
        pager = Pager(
            source,
            selection,
            CLOCK,
            position=part.api.beginning(),
            api=part.api,
            page_size=1,
            attempts=_CHECK_ATTEMPTS,
        )
        pager.next()
        listed = pager.tables()
    finally:
        source.close()
    legacy = not isinstance(pager.position, SyncPosition)
    ours = bool(pager.ours)
    if listed is None:
        return Checked(legacy, ours, None)
    wanted = tuple(sorted(ref for ref in listed if selection.allows(ref)))
    return Checked(legacy, ours, wanted)

"""`posthog-convex sync`: a deployment's tables beside events.

Owns the commands and what they print. Never does the work. The key comes from the environment
alone, and a config file names the variable. Exit status 1: it stopped, and the sentence says why.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from posthog_convex.warehouse.refusal import SyncRefused

if TYPE_CHECKING:
    from posthog_convex.warehouse.destinations.destination import Destination
    from posthog_convex.warehouse.plan.progress import Progress as SyncProgress
    from posthog_convex.warehouse.source.deployment import Source
    from posthog_convex.warehouse.sync.config import Config
    from posthog_convex.warehouse.sync.runner import Runner

#: Somebody waits, and how the sync stands is known without the host.
_STATUS_TIMEOUT_S = 3.0
_CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("posthog-convex-sync.toml"),
    show_default=True,
    help="The file that says what to sync where.",
)


@click.group()
def sync() -> None:
    """Copy a Convex deployment's tables to DuckDB, Parquet or Delta, and keep them up to date."""


@sync.command()
@_CONFIG
@click.option("--url", help="The deployment's address.")
@click.option("--key-env", help="The variable that holds its key.")
@click.option("--to", "kind", type=click.Choice(["duckdb", "parquet", "delta"]))
@click.option("--path", "where", help="The file or folder to write to.")
@click.option("--schedule", help='What the host does by itself: "watch", "15m", or "no".')
def init(
    path: Path,
    url: str | None,
    key_env: str | None,
    kind: str | None,
    where: str | None,
    schedule: str | None,
) -> None:
    """Ask what is needed, test the connection, and write a config file without secrets."""
    from posthog_convex.warehouse.sync import opening
    from posthog_convex.warehouse.sync.config import write

    if schedule is not None:
        schedule = _schedule(schedule)
    if path.exists():
        click.confirm(f"{path} is there already. Write it anew?", abort=True)
    asking = None in (url, key_env, kind, where)
    config = _asked(path, url, key_env, kind, where)
    with _sentences(kept="Nothing was written"):
        deployment = opening.deployment_of(config.deployment, os.environ, path.parent)
        found = opening.checked(deployment, config.tables, config.deployment)
    export = "its legacy export" if found.legacy else "data sync"
    click.echo(f"{deployment.url} answers, through {export}.")
    if found.tables is not None:
        names = ", ".join(str(ref) for ref in found.tables[:12])
        more = f" and {len(found.tables) - 12} more" if len(found.tables) > 12 else ""
        click.echo(f"Tables: {names or 'none yet'}{more}.")
    config = _scheduled(config, path, schedule, ask=asking and found.ours)
    path.write_text(write(config))
    if config.host.schedule is None:
        click.echo(f"Wrote {path}. Next: posthog-convex sync run")
    else:
        click.echo(
            f"Wrote {path}. A host that runs in this folder syncs by itself from now on, within"
            " seconds if it runs already. Next: posthog-convex sync status"
        )


@sync.command()
@_CONFIG
@click.option("--fresh", is_flag=True, help="Read everything again beside the published tables.")
@click.option("--max-pages", type=click.IntRange(min=1), help="Stop early; a later run goes on.")
def run(path: Path, fresh: bool, max_pages: int | None) -> None:
    """Bring the destination up to date, once."""
    from posthog_convex.warehouse.sync import opening

    with _sentences(), _shown() as shown, _opened(path) as (config, source, destination):
        driver = opening.driver_of(
            config,
            source,
            destination,
            max_pages=max_pages,
            watching=shown.watching,
            retrying=shown.retrying,
        )
        progress = driver.run(fresh=fresh)
    click.echo(_line(progress))


@sync.command()
@_CONFIG
@click.option("--quiet", is_flag=True, help="Say only what goes wrong, and when it is over.")
def watch(path: Path, quiet: bool) -> None:
    """Keep the destination up to date until told to stop."""
    from posthog_convex.warehouse.sync import opening, watch

    #: What was said last; None where the next round is told of, whatever it brings.
    shown: tuple[int, int] | None = None

    def trouble(refused: SyncRefused) -> None:
        nonlocal shown
        shown = None
        click.echo(f"posthog-convex sync: {refused} It goes on by itself.", err=True)

    with _sentences(), _opened(path) as (config, source, destination):
        driver = opening.driver_of(config, source, destination)
        rounds = watch.rounds(
            driver,
            poll_interval_s=config.watch.poll_interval_s,
            pause=time.sleep,
            trouble=trouble,
        )
        for progress in rounds:
            now = (progress.rows, progress.restarts)
            if shown is None or (now != shown and not quiet):
                click.echo(_line(progress))
            shown = now


@sync.command()
@_CONFIG
def status(path: Path) -> None:
    """Say how far the destination is behind, what it holds, and what needs attention."""
    from posthog_convex.warehouse.sync import config as configs
    from posthog_convex.warehouse.sync import opening
    from posthog_convex.warehouse.sync.report import reported

    with _sentences():
        config = configs.read(path)
        destination = opening.destination_of(config.destination, read_only=True)
        with closing(destination):
            progress = destination.load()
            told_s = None if progress is None else progress.retention_s
            report = reported(
                progress,
                destination.counts(),
                now_ms=time.time() * 1000,
                retention_s=config.deployment.retention_s(told_s),
            )
        runner = _runner(config, path.parent)
    for name, value in (*report.lines, ("runs", runner.line)):
        click.echo(f"{name:<14}{value}")
    for table, rows in report.tables:
        click.echo(f"  {rows:>12,}  {table}")
    for warning in (*report.warnings, *([runner.warning] if runner.warning else [])):
        click.echo(f"warning: {warning}", err=True)


def _runner(config: Config, folder: Path) -> Runner:
    """Who runs it. Without a schedule nobody is asked, so `status` needs no key."""
    from posthog_convex.warehouse.source.deployment import HttpSource
    from posthog_convex.warehouse.sync import opening
    from posthog_convex.warehouse.sync.runner import runner_of

    if config.host.schedule is None:
        return runner_of(None, None)
    try:
        deployment = opening.deployment_of(config.deployment, os.environ, folder)
    except SyncRefused:
        return runner_of(config.host.schedule, None)
    with closing(HttpSource(deployment, _STATUS_TIMEOUT_S)) as source:
        return runner_of(config.host.schedule, source)


def _asked(
    path: Path, url: str | None, key_env: str | None, kind: str | None, where: str | None
) -> Config:
    from posthog_convex.warehouse.sync import keys
    from posthog_convex.warehouse.sync.config import Config, DeploymentPart, DestinationPart

    project = keys.project_of(path.parent)
    known = project.get(keys.URL_VARIABLE) or "http://127.0.0.1:3210"
    url = url or click.prompt("Address of the deployment", default=known)
    has_key = keys.KEY_VARIABLE in project and keys.same_address(known, url)
    usual = keys.KEY_VARIABLE if has_key else "CONVEX_DEPLOY_KEY"
    key_env = key_env or click.prompt("Variable that holds its key", default=usual)
    kind = kind or click.prompt(
        "Write to", type=click.Choice(["duckdb", "parquet", "delta"]), default="duckdb"
    )
    usual = "warehouse.duckdb" if kind == "duckdb" else "warehouse"
    where = where or click.prompt("Path", default=usual)
    return Config(
        deployment=DeploymentPart(url=url, key_env=key_env),
        destination=DestinationPart(kind=kind, path=where),  # type: ignore[arg-type]  # a choice
    )


def _scheduled(config: Config, path: Path, schedule: str | None, *, ask: bool) -> Config:
    """The same with what the host does by itself. Hosts look for one name, in their folder."""
    import msgspec

    from posthog_convex.warehouse.sync.config import FILE, HostPart

    if path.name != FILE:
        if schedule not in (None, "no"):
            raise click.UsageError(f"A host looks for {FILE} alone: leave out --config.")
        return config
    if schedule is None:
        schedule = "no"
        if ask:
            question = "Have the host run it? (watch, how often such as 15m, or no)"
            schedule = click.prompt(question, default="watch", value_proc=_schedule)
    part = HostPart(schedule=None if schedule == "no" else schedule)
    return msgspec.structs.replace(config, host=part)


def _schedule(text: str) -> str:
    from posthog_convex.warehouse.sync.config import HostPart

    try:
        return text if text == "no" else str(HostPart(schedule=text).schedule)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Config, Source, Destination]]:
    """What a config file describes, until the block ends."""
    from posthog_convex.warehouse.source.deployment import HttpSource
    from posthog_convex.warehouse.sync import config as configs
    from posthog_convex.warehouse.sync import opening

    config = configs.read(path)
    deployment = opening.deployment_of(config.deployment, os.environ, path.parent)
    with (
        closing(HttpSource(deployment)) as source,
        closing(opening.destination_of(config.destination)) as destination,
    ):
        yield config, source, destination


@contextmanager
def _sentences(kept: str | None = None) -> Iterator[None]:
    """A refusal becomes a sentence and exit status 1; `kept` instead of what it says of tables."""
    try:
        yield
    except SyncRefused as refused:
        told = f"{refused.happened}. {kept or refused.kept}. {refused.to_do}"
        click.echo(f"posthog-convex sync: {told}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Stopped. The next run goes on from the last page that was kept.", err=True)
        # A request may still be held by the deployment; nothing waits for its answer.
        sys.exit(130)


class _Shown(NamedTuple):
    """Shows how a run gets on."""

    watching: Callable[[SyncProgress], None]
    retrying: Callable[[str, int], None]


@contextmanager
def _shown() -> Iterator[_Shown]:
    """On a terminal a line with what was read so far; everywhere, what keeps the run waiting."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from posthog_convex.warehouse.sync.report import counted

    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[read]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    task = bar.add_task("Reading", total=None, read="")

    def watching(progress: SyncProgress) -> None:
        filling = next((t.name for t in progress.tables[::-1] if t.next is not None), None)
        text = f"Reading {filling}" if filling else "Following changes"
        read = f"{counted(progress.rows, 'row')} in {counted(progress.pages, 'page')}"
        bar.update(task, description=text, read=read)

    def retrying(reason: str, times: int) -> None:
        text = (
            f"posthog-convex sync: The deployment does not answer ({reason}). It is asked again,"
            f" {counted(times, 'time')} at most."
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    with bar:
        yield _Shown(watching, retrying)


def _line(progress: SyncProgress) -> str:
    from posthog_convex.warehouse.sync.report import counted

    when = "no snapshot yet"
    if progress.snapshot_ts is not None:
        seconds = progress.snapshot_ts / 1e9
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    tables, rows = counted(len(progress.published()), "table"), counted(progress.rows, "row")
    state = "up to date" if progress.idle else "more to come"
    return f"{when}: {tables}, {rows} read so far, {state}."

"""`pyconvex backup` and `pyconvex restore`: a deployment's data as one file, and back.

Owns the names of backups in a folder and what the commands print. Never talks to a server: both
work on the data folder, which a running server may have open while it is copied.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from pyconvex.storage import (
    Backup,
    BackupRefused,
    FolderRefused,
    StorageFailure,
    back_up,
)
from pyconvex.storage import restore as restore_folder

_DATA = click.Path(path_type=Path, file_okay=False)
_MEGABYTE = 1024 * 1024


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=_DATA,
    default=Path(".pyconvex"),
    show_default=True,
    help="The data folder to copy; its server may run.",
)
def backup(target: Path, data: Path) -> None:
    """Copy the deployment's data, as of now, into the file TARGET.

    When TARGET is a folder, the copy gets a name with the time in it. Everything is in the one
    file: documents, the revision log, queued events, variables. The admin key is not.
    """
    if target.is_dir():
        target = target / f"pyconvex-{_stamp(time.time())}.sqlite3"
    copy = _tried(lambda: back_up(data, target, _progress("Copying")))
    click.echo(f"Backed up {data} to {copy.path} ({_size(copy)}, as of {_moment(copy)}).")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--data",
    type=_DATA,
    default=Path(".pyconvex"),
    show_default=True,
    help="The data folder to make; it must be empty.",
)
def restore(file: Path, data: Path) -> None:
    """Make a data folder from the backup FILE.

    Start it with `pyconvex start --data FOLDER`. It gets an admin key of its own, and events that
    were queued when the backup was made are sent again: receivers know them by their ids.
    """
    copy = _tried(lambda: restore_folder(file, data, on_progress=_progress("Restoring")))
    click.echo(f"Restored {file} to {data} ({_size(copy)}).")


def _tried(work: Callable[[], Backup]) -> Backup:
    try:
        return work()
    except (BackupRefused, FolderRefused, StorageFailure) as error:
        raise click.ClickException(str(error)) from None


def _progress(doing: str) -> Callable[[float], None]:
    """Shows the share that is done, to people only."""
    shown = sys.stderr.isatty()

    def show(share: float) -> None:
        if shown:
            click.echo(f"\r{doing} {share:4.0%}" + ("\n" if share >= 1 else ""), err=True, nl=False)

    return show


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d-%H%M%S")


def _moment(copy: Backup) -> str:
    return datetime.fromtimestamp(copy.ts / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _size(copy: Backup) -> str:
    return f"{copy.bytes / _MEGABYTE:.1f} MB"

"""`pyconvex init`: begin an app."""

from __future__ import annotations

from pathlib import Path

import click

from pyconvex.cli.scaffold import AlreadyThereError, NotInstalledError, files_of, make_project


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--with-posthog", is_flag=True, help="Also PostHog's component, and an event.")
def init(folder: Path, with_posthog: bool) -> None:
    """Write a functions folder with a small app and its test into FOLDER, or into this one.

    Also a line for .gitignore, mypy's option and a paragraph of README. What is there is never
    overwritten.
    """
    try:
        written = make_project(folder, files_of("posthog" if with_posthog else None))
    except (AlreadyThereError, NotInstalledError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"Can't write {error.filename}: {error.strerror}.") from None
    click.echo(f"Wrote {', '.join(written)}.")
    click.echo("Next: " + ("" if folder == Path() else f"cd {folder} && ") + "pyconvex dev")

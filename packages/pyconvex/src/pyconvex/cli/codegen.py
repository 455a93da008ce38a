"""`pyconvex codegen`: the types of an app for its TypeScript frontend."""

from __future__ import annotations

from pathlib import Path

import click

from pyconvex.cli.generated import ForeignFilesError, write_types
from pyconvex.runtime.app.analysis import analyse
from pyconvex.runtime.app.loader import SourceError, read_sources
from pyconvex.runtime.isolates.template import load_failure


@click.command()
@click.option(
    "--functions",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("convex"),
    show_default=True,
    help="The functions folder.",
)
def codegen(functions: Path) -> None:
    """Write the TypeScript types of the functions folder into its folder _generated.

    `pyconvex dev` does this at every deploy. Nothing has to run: the folder is imported here.
    """
    try:
        sources = read_sources(functions)
    except SourceError as error:
        raise click.ClickException(str(error)) from None
    try:
        spec = analyse(sources, str(functions.resolve())).spec
    except (Exception, SystemExit) as error:
        raise click.ClickException(load_failure(error, str(functions.resolve()))) from None
    try:
        changed = write_types(functions, spec)
    except (ForeignFilesError, OSError) as error:
        raise click.ClickException(str(error)) from None
    where = functions / "_generated"
    click.echo(f"Wrote {', '.join(changed)} in {where}." if changed else f"{where} is up to date.")

"""`pyconvex function-spec`: what can be called, for code generators."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from pyconvex.cli.deployment import Deployment, deployment_options


@click.command("function-spec")
@click.option("--component", default="", help="Path of the component whose functions are meant.")
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead."
)
@deployment_options
def function_spec(
    component: str, file: Path | None, url: str | None, admin_key: str | None
) -> None:
    """Print every function with its arguments and result, as JSON.

    The form is Convex's, so its generators read it.
    """
    deployment = Deployment.find(url, admin_key)
    spec = {
        "url": deployment.ask("cli/convexUrl:cloudUrl"),
        "functions": deployment.ask("cli/modules:apiSpec", component=component),
    }
    text = msgspec.json.format(msgspec.json.encode(spec), indent=2).decode()
    if file is None:
        click.echo(text)
        return
    file.write_text(text + "\n", encoding="utf-8")
    click.echo(f"Wrote {file}.")

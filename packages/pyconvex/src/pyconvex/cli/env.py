"""`pyconvex env`: the deployment's environment variables."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pyconvex.cli import env_local
from pyconvex.cli.deployment import Deployment, deployment_options

_CHANGE = "/api/update_environment_variables"
_LIST = "/api/list_environment_variables"


@click.group()
def env() -> None:
    """List and change the deployment's environment variables."""


@env.command("set")
@click.argument("name", required=False)
@click.argument("value", required=False)
@click.option(
    "--from-file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Set all variables of a file with NAME=VALUE lines, all or none.",
)
@deployment_options
def set_variable(
    name: str | None,
    value: str | None,
    file: Path | None,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Set variable NAME to VALUE (or NAME=VALUE); functions that read it run again.

    Without a value it is read from standard input, or asked for: a secret then stays out of the
    shell's history.
    """
    if (name is None) == (file is None):
        raise click.UsageError("Give either a name or --from-file.")
    changes = _of_file(file) if file is not None else dict([_one(name or "", value)])
    deployment = Deployment.find(url, admin_key)
    body = [{"name": name, "value": value} for name, value in changes.items()]
    deployment.post(_CHANGE, {"changes": body})
    click.echo(f"Set {', '.join(changes)}.")


def _one(name: str, value: str | None) -> tuple[str, str]:
    if value is not None:
        return name, value
    name, equals, value = name.partition("=")
    if equals:
        return name, value
    if sys.stdin.isatty():
        return name, click.prompt(f"Value of {name}", hide_input=True)
    given = sys.stdin.read()
    if not given:
        raise click.UsageError("Give a value: pyconvex env set NAME VALUE")
    return name, given.removesuffix("\n")


def _of_file(file: Path) -> dict[str, str]:
    try:
        variables = env_local.read_file(file)
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8; nothing was set.") from None
    if not variables:
        raise click.ClickException(f"There are no NAME=VALUE lines in {file}; nothing was set.")
    return variables


@env.command("remove")
@click.argument("name")
@deployment_options
def remove(name: str, url: str | None, admin_key: str | None) -> None:
    """Remove variable NAME."""
    Deployment.find(url, admin_key).post(_CHANGE, {"changes": [{"name": name, "value": None}]})
    click.echo(f"Removed {name}.")


@env.command("get")
@click.argument("name")
@deployment_options
def get(name: str, url: str | None, admin_key: str | None) -> None:
    """Print the value of variable NAME."""
    variables = Deployment.find(url, admin_key).get(_LIST)["environmentVariables"]
    if name not in variables:
        raise click.ClickException(f"{name} is not set. Set it with: pyconvex env set {name} VALUE")
    click.echo(variables[name])


@env.command("list")
@deployment_options
def list_variables(url: str | None, admin_key: str | None) -> None:
    """Print all variables as NAME=VALUE lines."""
    variables = Deployment.find(url, admin_key).get(_LIST)["environmentVariables"]
    for name, value in sorted(variables.items()):
        click.echo(f"{name}={value}")

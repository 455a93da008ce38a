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
@click.argument("variables", nargs=-1, metavar="NAME VALUE | NAME=VALUE...")
@click.option(
    "--from-file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Set all variables of a file with NAME=VALUE lines, all or none.",
)
@deployment_options
def set_variable(
    variables: tuple[str, ...],
    file: Path | None,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Set variable NAME to VALUE, or several NAME=VALUE; functions that read them run again.

    Without a value it is read from standard input, or asked for: a secret then stays out of the
    shell's history.
    """
    if bool(variables) == (file is not None):
        raise click.UsageError("Give either a name or --from-file.")
    changes = _of_file(file) if file is not None else _of_words(variables)
    deployment = Deployment.find(url, admin_key)
    body = [{"name": name, "value": value} for name, value in changes.items()]
    deployment.post(_CHANGE, {"changes": body})
    click.echo(f"Set {', '.join(changes)}.")


def _of_words(words: tuple[str, ...]) -> dict[str, str]:
    name, *rest = words
    if "=" in name:
        pairs = [word.partition("=") for word in words]
        lonely = [name for name, equals, _ in pairs if not equals]
        if lonely:
            raise click.UsageError(f"{lonely[0]!r} is not NAME=VALUE; nothing was set.")
        return {name: value for name, _, value in pairs}
    if len(rest) > 1:
        raise click.UsageError("Give one NAME VALUE, or several NAME=VALUE; nothing was set.")
    return {name: rest[0] if rest else _asked_for(name)}


def _asked_for(name: str) -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt(f"Value of {name}", hide_input=True)
        return answer
    given = sys.stdin.read()
    if not given:
        raise click.UsageError("Give a value: pyconvex env set NAME VALUE")
    return given.removesuffix("\n")


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
    deployment = Deployment.find(url, admin_key)
    if name not in deployment.get(_LIST)["environmentVariables"]:
        click.echo(f"{name} was not set; nothing has changed.")
        return
    deployment.post(_CHANGE, {"changes": [{"name": name, "value": None}]})
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

"""`pyconvex env`: the deployment's environment variables."""

from __future__ import annotations

import click

from pyconvex.cli.deployment import Deployment, deployment_options

_CHANGE = "/api/update_environment_variables"
_LIST = "/api/list_environment_variables"


@click.group()
def env() -> None:
    """List and change the deployment's environment variables."""


@env.command("set")
@click.argument("name")
@click.argument("value", required=False)
@deployment_options
def set_variable(name: str, value: str | None, url: str | None, admin_key: str | None) -> None:
    """Set variable NAME to VALUE (or NAME=VALUE); functions that read it run again."""
    if value is None:
        name, equals, value = name.partition("=")
        if not equals:
            raise click.UsageError("Give a value: pyconvex env set NAME VALUE")
    Deployment.find(url, admin_key).post(_CHANGE, {"changes": [{"name": name, "value": value}]})
    click.echo(f"Set {name}.")


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

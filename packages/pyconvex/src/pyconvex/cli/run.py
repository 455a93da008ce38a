"""`pyconvex run`: call one function, or watch a query."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from pyconvex.cli.deployment import Deployment, deployment_options
from pyconvex.cli.watching import watch as watch_query


@click.command()
@click.argument("function")
@click.argument("arguments", default="{}")
@click.option("--watch", is_flag=True, help="Print a query's result again whenever it changes.")
@click.option("--identity", help='Act as this user: a JSON object, such as {"subject": "ann"}.')
@click.option("--component", default="", help="Path of the component whose function it is.")
@deployment_options
def run(
    function: str,
    arguments: str,
    watch: bool,
    identity: str | None,
    component: str,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Call FUNCTION (such as users:get) with ARGUMENTS, a JSON object, and print its result.

    Queries, mutations and actions, internal ones too. The result is JSON on standard output, log
    lines go to standard error.
    """
    try:
        parsed = msgspec.json.decode(arguments)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"The arguments are not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise click.UsageError('The arguments are one JSON object, such as \'{"author": "Ada"}\'.')
    deployment = Deployment.find(url, admin_key)
    if identity is not None:
        deployment = deployment.acting_as(identity)
    function = _wire_path(function)
    if watch:
        _watch(deployment, function, parsed, component)
        return
    try:
        answer = deployment.call(function, parsed, component)
    except KeyboardInterrupt:
        click.echo(
            "\nStopped waiting. The function may go on to its end, which `pyconvex logs` tells.",
            err=True,
        )
        sys.exit(130)  # as shells say of what Ctrl-C has ended
    for line in answer.get("logLines", ()):
        click.echo(line, err=True)
    if answer["status"] != "success":
        click.echo(answer["errorMessage"].rstrip(), err=True)
        sys.exit(1)
    _print(answer["value"])


def _wire_path(function: str) -> str:
    """The path of a function in any of the spellings that people use for one.

    >>> _wire_path("api.messages.list"), _wire_path("convex/messages.py:list")
    ('messages:list', 'messages:list')
    >>> _wire_path("messages.list"), _wire_path("admin.users.list")
    ('messages:list', 'admin/users:list')
    """
    if ":" not in function and not function.endswith((".py", ".js")):
        dotted = function.removeprefix("api.").removeprefix("internal.")
        module, _, name = dotted.rpartition(".")
        return f"{module.replace('.', '/')}:{name}" if module else function
    module, colon, name = function.partition(":")
    return module.removeprefix("convex/").removesuffix(".py") + colon + name


def _watch(deployment: Deployment, function: str, arguments: Any, component: str) -> None:
    shown = False
    try:
        for result in watch_query(deployment, function, arguments, component):
            for line in result.log_lines:
                click.echo(line, err=True)
            if result.error is None:
                _print(result.value)
            else:
                click.echo(result.error.rstrip(), err=True)
                if not shown:
                    sys.exit(1)  # what never worked is a mistake of the command line
            shown = True
    except KeyboardInterrupt:
        click.echo(err=True)


def _print(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

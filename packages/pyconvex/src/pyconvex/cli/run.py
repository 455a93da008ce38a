"""`pyconvex run`: call one function."""

from __future__ import annotations

import base64
import sys

import click
import msgspec

from pyconvex.cli.deployment import Deployment


@click.command()
@click.argument("function")
@click.argument("arguments", default="{}")
@click.option("--identity", help="Act as this user: a JSON object with issuer and subject.")
def run(function: str, arguments: str, identity: str | None) -> None:
    """Call FUNCTION (such as users:get) with ARGUMENTS, a JSON object, and print its result."""
    try:
        parsed = msgspec.json.decode(arguments)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"The arguments are not JSON: {error}") from None
    deployment = Deployment.find()
    if identity is not None:
        suffix = base64.b64encode(identity.encode()).decode()
        deployment = Deployment(deployment.url, f"{deployment.admin_key}:{suffix}")
    answer = deployment.post("/api/function", {"path": function, "args": parsed, "format": "json"})
    for line in answer.get("logLines", ()):
        click.echo(line, err=True)
    if answer["status"] != "success":
        click.echo(answer["errorMessage"].rstrip(), err=True)
        sys.exit(1)
    click.echo(msgspec.json.format(msgspec.json.encode(answer["value"]), indent=2).decode())

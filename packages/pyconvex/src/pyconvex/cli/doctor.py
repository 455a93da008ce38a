"""`pyconvex doctor`: what is set, where it comes from, and what is wrong.

Owns the checks of this machine, this folder and the deployment that it names. Never changes
anything. One invariant: a check that itself fails is a finding, and the others go on.
"""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from pyconvex.cli import deployment_checks, machine_checks
from pyconvex.cli.deployment import Deployment, DeploymentError, deployment_options
from pyconvex.cli.findings import GROUP, Finding, Inspected, Level

_MARKS = {Level.OK: "✓", Level.INFO: " ", Level.WARNING: "!", Level.PROBLEM: "✗"}
_COLOURS = {Level.OK: "green", Level.INFO: None, Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command()
@click.option(
    "--functions",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("convex"),
    show_default=True,
    help="The functions folder.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".pyconvex"),
    show_default=True,
    help="The data folder.",
)
@click.option(
    "--send/--no-send", default=True, help="Send one marked test event through, where one can be."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
@deployment_options
def doctor(
    functions: Path,
    data: Path,
    send: bool,
    as_json: bool,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Check this machine, this folder and the deployment; print every setting and its origin.

    Exit status 1 when there is a problem, 0 with warnings only.
    """
    worst = False
    for finding in _findings(functions, data, url, admin_key, may_send=send):
        worst = worst or finding.level is Level.PROBLEM
        _print(finding, as_json)
    raise SystemExit(1 if worst else 0)


def _findings(
    functions: Path, data: Path, url: str | None, admin_key: str | None, *, may_send: bool
) -> Iterator[Finding]:
    yield from machine_checks.check(functions, data)
    try:
        deployment = Deployment.find(url, admin_key)
    except click.ClickException as error:
        yield Finding(Level.WARNING, "deployment", error.format_message())
        return
    yield from deployment_checks.check_address(deployment)
    try:
        inspected = _inspected(deployment, may_send=may_send)
    except DeploymentError as error:
        yield Finding(Level.PROBLEM, "deployment", error.format_message())
        return
    try:
        yield from deployment_checks.check(deployment, inspected)
    except (KeyError, TypeError) as error:
        text = f"its status has another form than this version's (no {error}): install the same"
        yield Finding(Level.PROBLEM, "server", text)
        return
    yield from _offered(inspected)


def _inspected(deployment: Deployment, *, may_send: bool) -> Inspected:
    def call(path: str, arguments: Any, component: str) -> Any:
        answer = deployment.call(path, arguments, component)
        if answer["status"] != "success":
            raise DeploymentError(answer["errorMessage"].strip())
        return answer["value"]

    def look() -> Any:
        return deployment.get("/api/pyconvex/status")

    variables = deployment.get("/api/list_environment_variables")["environmentVariables"]
    return Inspected(look(), variables, call, look, may_send, time.sleep)


def _offered(inspected: Inspected) -> Iterator[Finding]:
    """What other packages check."""
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            findings: Iterable[Finding] = point.load()(inspected)
            yield from findings
        except Exception as error:
            text = f"its check failed: {type(error).__name__}: {error}"
            yield Finding(Level.PROBLEM, point.name, text)


def _print(finding: Finding, as_json: bool) -> None:
    if as_json:
        told = {"level": finding.level, "about": finding.about, "text": finding.text}
        click.echo(json.dumps(told))
        return
    mark = click.style(_MARKS[finding.level], fg=_COLOURS[finding.level])
    head, *rest = finding.text.splitlines() or [""]
    click.echo(f"{mark} {finding.about}: {head}")
    for line in rest:
        click.echo(f"    {line}")

"""`posthog-convex flags`: flag definitions of a deployment's PostHog component, looked for now.

Owns the command, what it prints and where it finds the deployment. The key comes from the
environment or from `.env.local` alone: what is typed on a command line is seen by every user of the
machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

#: As `pyconvex dev` and Convex's own tools write them.
_FILE = ".env.local"
_URLS = ("CONVEX_SELF_HOSTED_URL", "CONVEX_URL")
_KEYS = ("CONVEX_SELF_HOSTED_ADMIN_KEY", "CONVEX_DEPLOY_KEY")
#: A component may ask PostHog twice, for as long as ten seconds each.
_TIMEOUT_S = 30.0

_DONE = {
    "updated": "Newer flag definitions have come, and are in force.",
    "unchanged": "The deployment has PostHog's newest flag definitions already.",
}


@click.group()
def flags() -> None:
    """Look after the flag definitions of a deployment's PostHog component."""


@flags.command()
@click.option("--url", help="The deployment, when it is not the one of this folder.")
@click.option(
    "--component", default="posthog", show_default=True, help="Where the app has mounted it."
)
def refresh(url: str | None, component: str) -> None:
    """Have the component look for newer flag definitions now.

    It looks by itself at its interval; this is for scripts that have just changed a flag. The
    deployment's address and admin key come from CONVEX_SELF_HOSTED_URL and
    CONVEX_SELF_HOSTED_ADMIN_KEY, or CONVEX_URL and CONVEX_DEPLOY_KEY, in the environment or in
    .env.local.
    """
    from posthog_convex.deployments import CallFailed, Deployment, post_within

    try:
        address, key = _found(url, os.environ, _of_file(Path(_FILE)))
        deployment = Deployment(address, key, post_within(_TIMEOUT_S))
        answer = deployment.call(component, "lib:refreshFlagDefinitions")
    except (ValueError, CallFailed) as error:
        _stop(f"{error}. The definitions that the deployment has stay in force.")
    click.echo(_sentence(answer))


def _sentence(answer: Any) -> str:
    """What the component's answer means; ends the command where there is nothing newer to have."""
    if not isinstance(answer, Mapping) or "status" not in answer:
        _stop("what is mounted under that name is not this package's component.")
    status = answer["status"]
    if status not in _DONE:
        _stop(f"nothing was looked for, or found: {answer.get('reason') or status}.")
    return _DONE[status]


def _stop(text: str) -> Any:
    click.echo(f"posthog-convex flags refresh: {text}", err=True)
    sys.exit(1)


def _found(
    url: str | None, environment: Mapping[str, str], file: Mapping[str, str]
) -> tuple[str, str]:
    """Address and key; the file's key goes to the file's address alone. Raises `ValueError`."""
    address = url or _first(_URLS, environment) or _first(_URLS, file)
    if not address:
        raise ValueError(
            f"no deployment is known here: give --url, or set {_URLS[0]}, in the environment or in "
            f"{_FILE}"
        )
    key = _first(_KEYS, environment)
    if not key and (_first(_URLS, file) or "").rstrip("/") == address.rstrip("/"):
        key = _first(_KEYS, file)
    if not key:
        raise ValueError(f"the admin key of {address} is not known: set {_KEYS[0]}")
    return address, key


def _first(names: tuple[str, ...], values: Mapping[str, str]) -> str | None:
    return next((values[name].strip() for name in names if values.get(name, "").strip()), None)


def _of_file(path: Path) -> dict[str, str]:
    """The variables in a file of NAME=VALUE lines; none when it is not there."""
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text("utf-8").splitlines())
    return {
        name.strip(): value.strip().strip("'\"")
        for name, equals, value in pairs
        if equals and not name.lstrip().startswith("#")
    }

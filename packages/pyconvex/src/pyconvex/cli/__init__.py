"""The `pyconvex` command.

Owns the commands and what they print. Never does the work: servers and HTTP calls do. One
invariant: exit status 0 means it happened, 1 that it could not, 2 that the command line was wrong.
"""

from __future__ import annotations

import click

from pyconvex.cli.env import env
from pyconvex.cli.run import run
from pyconvex.cli.serve import dev, start


@click.group()
@click.version_option(package_name="pyconvex", prog_name="pyconvex")
def main() -> None:
    """Run Python functions behind Convex's client protocol. Unofficial."""


main.add_command(dev)
main.add_command(start)
main.add_command(env)
main.add_command(run)

__all__ = ["main"]

"""The `pyconvex` command.

Owns the commands and what they print. Never does the work: servers and HTTP calls do. One
invariant: exit status 0 means it happened, 1 that it could not, 2 that the command line was wrong.
"""

from __future__ import annotations

import importlib
import sys
from difflib import get_close_matches

import click

#: Where each command lives; it is imported when it is used, because a server takes ten times as
#: long to import as `env set` takes to run.
_COMMANDS = {
    "init": "init",
    "dev": "serve",
    "start": "serve",
    "deploy": "deploy",
    "run": "run",
    "env": "env",
    "data": "data",
    "delete-table": "delete_table",
    "logs": "logs",
    "log-streams": "log_streams",
    "queues": "queues",
    "dashboard": "dashboard",
    "function-spec": "function_spec",
    "backup": "backup",
    "restore": "backup",
    "codegen": "codegen",
    "doctor": "doctor",
}


class _Commands(click.Group):
    """The commands, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(f"pyconvex.cli.{_COMMANDS[cmd_name]}")
        except KeyboardInterrupt:  # nothing has begun yet
            sys.exit(130)
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and (near := get_close_matches(args[0], _COMMANDS, n=1)):
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands)
@click.version_option(package_name="pyconvex", prog_name="pyconvex")
def main() -> None:
    """Run Python functions behind Convex's client protocol. Unofficial."""


__all__ = ["main"]

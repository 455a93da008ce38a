"""The `posthog-convex` command: tools for a Convex deployment of any language.

Owns the commands and what they print. Never does the work, and imports nothing of `pyconvex`: it
serves people whose functions run elsewhere. One invariant: exit status 0 means it happened, 1 that
it could not, 2 that the command line was wrong.
"""

from __future__ import annotations

import importlib
import sys
from difflib import get_close_matches

import click

#: Where each command lives: a module of this room, and the command's name in it. It is imported
#: when it is used; what takes long to import is imported where it is called.
_COMMANDS: dict[str, tuple[str, str]] = {
    "flags": ("flags", "flags"),
    "receive": ("receive", "receive"),
    "sync": ("sync", "sync"),
}


class _Commands(click.Group):
    """The commands, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        try:
            command: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        except KeyboardInterrupt:  # nothing has begun yet
            sys.exit(130)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and (near := get_close_matches(args[0], _COMMANDS, n=1)):
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands)
@click.version_option(package_name="posthog-convex", prog_name="posthog-convex")
def main() -> None:
    """PostHog for Convex deployments, from the command line. Unofficial."""


__all__ = ["main"]

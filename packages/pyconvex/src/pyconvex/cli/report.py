"""What `dev` and `start` tell: a person in lines, or a program in lines of JSON.

Owns the words. Never decides what happens. One invariant: nothing that lets somebody in is written
where it may be kept.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pyconvex.cli.counted import counted
from pyconvex.cli.logs import shown
from pyconvex.dashboard import LINK_LIFE_S
from pyconvex.http.function_logs import execution
from pyconvex.runlog.recent import RecentRuns
from pyconvex.runtime.app.spec import AppSpec
from pyconvex.server import Server
from pyconvex.server.keys import key_file

#: Between two looks at what functions told, when nothing wakes who looks.
_LONG_S = 3600.0


class Report:
    """Tells a person, or with JSON lines a program, what happens."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, text: str, **facts: Any) -> None:
        """One event, with the facts that a program would want."""
        click.echo(json.dumps(facts) if self.as_json else text)
        sys.stdout.flush()

    def problem(self, text: str, **facts: Any) -> None:
        """Something that the developer must mend."""
        click.secho(text, fg="red", err=True)
        if self.as_json:  # last: who reads it may end this process
            click.echo(json.dumps({"problem": text, **facts}))
            sys.stdout.flush()


def tell_key(server: Server, report: Report) -> None:
    """Say the new deployment's key, once, to a person; what is piped may be kept by anybody."""
    file = key_file(server.settings.data)
    if sys.stdout.isatty():
        report.say(
            f"Admin key, shown this once and kept in {file}:\n  {server.admin_key}",
            key_file=str(file),
        )
    else:
        report.say(f"The admin key is in {file}.", key_file=str(file))


def tell_dashboard(server: Server, report: Report) -> None:
    """Say how to get to the dashboard; only a person at a terminal is shown a link that lets in."""
    if report.as_json:
        return
    if sys.stdout.isatty():
        minutes = LINK_LIFE_S / 60
        report.say(
            f"Dashboard: {server.sign_in_link()}\n  That works once, within {minutes:.0f} minutes; "
            "`pyconvex dashboard` gives another link."
        )
    else:
        report.say("Dashboard: `pyconvex dashboard` gives a link that signs you in.")


def contents(spec: AppSpec) -> str:
    """What an app has, as a person counts it."""
    functions = len(spec.root.functions)
    routes = len(spec.root.http.routes) if spec.root.http is not None else 0
    text = counted(functions, "function")
    if not routes:
        return text
    return f"{text} and {counted(routes, 'HTTP route')}"


async def show_runs(runs: RecentRuns, *, printed: bool) -> None:
    """Show a person how functions fail and, where it is not `printed` already, what they print."""
    cursor = runs.cursor
    while not runs.closed:
        await runs.wait(cursor, _LONG_S)
        records, cursor = runs.after(cursor), runs.cursor
        for record in records:
            entry = execution(record, structured=False)
            if printed:
                entry["logLines"] = ()
            for line in shown(entry, success=False):
                click.echo(line, err=True)

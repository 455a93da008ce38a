"""`pyconvex logs`: what functions printed, and how their runs ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from pyconvex.cli.deployment import Deployment, deployment_options

#: The deployment holds the question for up to a minute while there is nothing new.
_HOLD_S = 90.0
#: Between two questions when the deployment answers at once all the same.
_PAUSE_S = 0.2


@click.command()
@click.option(
    "--history",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="At most so many of the latest entries.",
)
@click.option("--follow", is_flag=True, help="Go on with new entries until Ctrl-C.")
@click.option("--success", is_flag=True, help="Also runs that succeeded and printed nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an entry, as received.")
@deployment_options
def logs(
    history: int,
    follow: bool,
    success: bool,
    as_json: bool,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Print the latest log entries of the deployment, the oldest of them first."""
    deployment = Deployment.find(url, admin_key)
    try:
        for entries in _batches(deployment, history, follow):
            for entry in entries:
                for line in [_json(entry)] if as_json else shown(entry, success=success):
                    click.echo(line)
    except KeyboardInterrupt:
        click.echo(err=True)


def _batches(deployment: Deployment, history: int, follow: bool) -> Iterator[list[Any]]:
    answer = deployment.get("/api/stream_function_logs?cursor=0", timeout_s=_HOLD_S)
    yield answer["entries"][-history:] if history else []
    while follow:
        path = f"/api/stream_function_logs?cursor={answer['newCursor']:.17g}"
        answer = deployment.get(path, timeout_s=_HOLD_S)
        yield answer["entries"]
        if not answer["entries"]:
            time.sleep(_PAUSE_S)


def _json(entry: Any) -> str:
    return msgspec.json.encode(entry).decode()


def shown(entry: dict[str, Any], *, success: bool) -> Iterator[str]:
    """An entry as people read it; with `success`, also that a run succeeded."""
    moment = datetime.fromtimestamp(entry["timestamp"], UTC).astimezone()
    kind = {"Query": "Q", "Mutation": "M", "Action": "A", "HttpAction": "H"}
    head = (
        f"{moment:%Y-%m-%d %H:%M:%S} "
        f"[{kind.get(entry.get('udfType', ''), '?')}({entry.get('identifier', '')})]"
    )
    for line in entry.get("logLines", ()):
        yield f"{head} {_line(line)}"
    if entry.get("kind") != "Completion":
        return
    if entry.get("willRetry"):
        # Its error says that no retry helped, in Convex's words; this one has yet to come.
        yield click.style(f"{head} {_runs_again(entry.get('occInfo') or {})}", fg="yellow")
    elif entry.get("error"):
        yield click.style(f"{head} {entry['error'].rstrip()}", fg="red")
    elif success:
        took_ms = entry.get("executionTime", 0) * 1000
        yield f"{head} succeeded in {took_ms:.0f} ms"


def _runs_again(conflict: dict[str, Any]) -> str:
    who = f" by {conflict['writeSource']}" if conflict.get("writeSource") else ""
    if not conflict.get("tableName"):
        return f"runs again: what it read was changed meanwhile{who or ', perhaps by a deploy'}"
    document = f" (document {conflict['documentId']})" if conflict.get("documentId") else ""
    return f"runs again: table {conflict['tableName']}{document} was changed meanwhile{who}"


def _line(line: Any) -> str:
    if isinstance(line, str):
        return line
    return f"[{line.get('level', 'LOG')}] {' '.join(map(str, line.get('messages', ())))}"

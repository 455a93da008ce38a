"""`pyconvex queues`: how queues fare, and the rows that no receiver took.

Owns the words of the command line. Never reads a queue: the deployment does. One invariant: rows,
which hold what users did, are printed by `show` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import click
import msgspec

from pyconvex.cli.counted import counted
from pyconvex.cli.deployment import Deployment, deployment_options

_QUEUES = "/api/pyconvex/queues"
#: Ten thousand large rows, each transaction as durable as any.
_MOVED_WITHIN_S = 600.0

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def queues() -> None:
    """See how queues fare; look at rows that no receiver took, send them again or forget them."""


def _choice(command: F) -> F:
    """Options that choose rows, for commands that take `ids` and `every`."""
    command = click.option("--all", "every", is_flag=True, help="All that are set aside now.")(
        command
    )
    return click.option(
        "--id", "ids", metavar="ID", multiple=True, help="This row, as `show` names it; repeatable."
    )(command)


@queues.command("list")
@click.option("--json", "as_json", is_flag=True, help="As the deployment tells it.")
@deployment_options
def list_queues(as_json: bool, url: str | None, admin_key: str | None) -> None:
    """Print every queue: what waits, how long the oldest has, what is set aside, the last error."""
    found = Deployment.find(url, admin_key).get(_QUEUES)["queues"]
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for queue in found:
        for line in _told(queue):
            click.echo(line)
    if not found:
        click.echo("The app declares no queues.")


@queues.command("show")
@click.argument("queue")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--before", metavar="ID", help="Older rows than this one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@deployment_options
def show(
    queue: str,
    limit: int,
    before: str | None,
    as_json: bool,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Print the rows of QUEUE that no receiver took, the newest first, each with the reason.

    The time is when the row was queued. Rows hold what users did.
    """
    deployment = Deployment.find(url, admin_key)
    found = _find(deployment, queue)
    asked = {"queue": found["queue"], "component": found["component"], "limit": str(limit)}
    if before is not None:
        asked["before"] = before
    page = deployment.get(f"{_QUEUES}/set_aside?{urlencode(asked)}")
    for row in page["rows"]:
        if as_json:
            click.echo(msgspec.json.encode(row).decode())
            continue
        queued = datetime.fromtimestamp(row["queuedMs"] / 1000, UTC)
        click.echo(f"{row['id']}  {queued:%Y-%m-%d %H:%M:%S} UTC  {row['bytes']} bytes")
        click.echo(f"  {_one_line(row['reason'])}")
        click.echo(f"  {_value(row)}")
    name = _name(found)
    if not page["rows"]:
        older = "older " if before is not None else ""
        click.echo(f"No {older}row of {name} is set aside.", err=as_json)
    elif page["more"]:
        last = page["rows"][-1]["id"]
        click.echo(
            f"There are older ones: pyconvex queues show {name} --before {last}", err=as_json
        )


@queues.command("retry")
@click.argument("queue")
@_choice
@deployment_options
def retry(
    queue: str, ids: tuple[str, ...], every: bool, url: str | None, admin_key: str | None
) -> None:
    """Put rows of QUEUE that were set aside back to its end, in their order, as they were.

    They are sent like new ones; what is refused again is set aside again.
    """
    chosen = _chosen(ids, every)
    deployment = Deployment.find(url, admin_key)
    found = _find(deployment, queue)
    name = _name(found)
    done = deployment.post(
        f"{_QUEUES}/retry", {**_body(found), **chosen}, timeout_s=_MOVED_WITHIN_S
    )
    if done["left"]:
        raise click.ClickException(
            f"The queue {name} takes no more: it is full, or its oldest row is too old. "
            f"{counted(done['rows'], 'row')} went back, {counted(done['left'], 'row')} are set "
            "aside still. Try again when it has drained."
        )
    click.echo(f"Put back into {name}: {counted(done['rows'], 'row')}.")


@queues.command("discard")
@click.argument("queue")
@_choice
@click.option("--yes", is_flag=True, help="Don't ask.")
@deployment_options
def discard(
    queue: str,
    ids: tuple[str, ...],
    every: bool,
    yes: bool,
    url: str | None,
    admin_key: str | None,
) -> None:
    """Forget rows of QUEUE that were set aside, for good."""
    chosen = _chosen(ids, every)
    deployment = Deployment.find(url, admin_key)
    found = _find(deployment, queue)
    name = _name(found)
    if not yes:
        which = "all rows" if every else counted(len(ids), "row")
        click.confirm(
            f"This forgets {which} of {name} at {deployment.url} that are set aside, for good. "
            "Go on?",
            abort=True,
        )
    done = deployment.post(
        f"{_QUEUES}/discard", {**_body(found), **chosen}, timeout_s=_MOVED_WITHIN_S
    )
    click.echo(f"Discarded of {name}: {counted(done['rows'], 'row')}.")


def _find(deployment: Deployment, queue: str) -> Mapping[str, Any]:
    """The queue that is meant by COMPONENT/QUEUE, or by its own name where only one has it."""
    known = deployment.get(_QUEUES)["queues"]
    found = [each for each in known if queue in (_name(each), f"/{_name(each)}")]
    found = found or [each for each in known if each["queue"] == queue]
    if len(found) == 1:
        return dict(found[0])
    names = ", ".join(_name(each) for each in found or known) or "none"
    if found:
        raise click.ClickException(f"There are several queues {queue!r}: {names}.")
    raise click.ClickException(f"There is no queue {queue!r}. Those that there are: {names}.")


def _chosen(ids: tuple[str, ...], every: bool) -> dict[str, Any]:
    if bool(ids) == every:
        raise click.UsageError(
            "Say which rows: --id ID, as `pyconvex queues show` prints, or --all."
        )
    return {"all": True} if every else {"ids": ids}


def _body(queue: Mapping[str, Any]) -> dict[str, Any]:
    return {"queue": queue["queue"], "component": queue["component"]}


def _name(queue: Mapping[str, Any]) -> str:
    component, name = queue["component"], queue["queue"]
    return f"{component}/{name}" if component else str(name)


def _told(queue: Mapping[str, Any]) -> list[str]:
    name, aside = _name(queue), queue["setAside"]
    late = ""
    if queue["oldestMs"] is not None:
        late = f" (the oldest for {max(0.0, time.time() - queue['oldestMs'] / 1000):.0f} s)"
    lines = [
        f"{name}: {queue['state']}",
        f"  waiting {queue['waiting']}{late}, sent {queue['sent']}, dropped {queue['dropped']}, "
        f"set aside {aside}",
    ]
    if queue["missing"]:
        lines.append(f"  waits for: {', '.join(queue['missing'])}")
    if queue["lastError"] is not None:
        lines.append(f"  last error: {_one_line(queue['lastError'])}")
    if aside:
        lines.append(f"  see them with: pyconvex queues show {name}")
    return lines


def _value(row: Mapping[str, Any]) -> str:
    if "value" not in row:
        return f"(can't be read; base64) {row['base64']}"
    return msgspec.json.encode(row["value"]).decode()


def _one_line(text: str) -> str:
    """What a receiver said, without what would move a terminal's cursor."""
    return "".join(each if each.isprintable() else " " for each in text)
